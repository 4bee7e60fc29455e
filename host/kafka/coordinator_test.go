package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A new Kafka cluster says COORDINATOR_NOT_AVAILABLE until it has made the topic of its groups' offsets.
func TestCommittedWaitsForTheCoordinator(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	a, ctx := openTestAdmin(t, b.Addr()), testContext(t)
	refused := 0
	b.cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if refused++; refused > 3 {
			return nil, nil, false
		}
		b.cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		answer.ErrorCode = kerr.CoordinatorNotAvailable.Code
		for _, asked := range r.(*kmsg.OffsetFetchRequest).Groups {
			group := kmsg.NewOffsetFetchResponseGroup()
			group.Group, group.ErrorCode = asked.Group, kerr.CoordinatorNotAvailable.Code
			answer.Groups = append(answer.Groups, group)
		}
		return answer, nil, true
	})
	committed, err := a.Committed(ctx, "connect-new")
	if err != nil || len(committed) != 0 || refused < 4 {
		t.Errorf("expected no offsets after the coordinator was refused 3 times, found %v, %v after %d", committed, err, refused)
	}
	b.cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, asked := range r.(*kmsg.OffsetFetchRequest).Groups {
			group := kmsg.NewOffsetFetchResponseGroup()
			group.Group, group.ErrorCode = asked.Group, kerr.GroupAuthorizationFailed.Code
			answer.Groups = append(answer.Groups, group)
		}
		return answer, nil, true
	})
	if _, err := a.Committed(ctx, "connect-new"); err == nil {
		t.Error("expected a refusal that does not pass to be an error at once")
	}
}
