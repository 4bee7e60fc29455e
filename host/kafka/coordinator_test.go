package kafka

import (
	"testing"

	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A new Kafka cluster says COORDINATOR_NOT_AVAILABLE until it has made the topic of its groups' offsets.
func TestCommittedWaitsForTheCoordinator(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	a, ctx := openTestAdmin(t, b.Addr()), kafkatest.Context(t)
	refused := 0
	b.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if refused++; refused > 3 {
			return nil, nil, false
		}
		b.Cluster.KeepControl()
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
		t.Errorf("expected no offsets after the coordinator was refused 3 times, found %v, %v after %d", committed, err,
			refused)
	}
	b.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
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

// A broker that came back does not know a member that joined before: Kafka's own consumer joins again then, and so does
// ours.
func TestForgottenMemberJoinsAnew(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress,
		kerr.CoordinatorNotAvailable} {
		t.Run(code.Message, func(t *testing.T) {
			b := openTestBroker(t, t.TempDir())
			kafkatest.Put(t, b.Addr(), "orders", "one")
			refused := 0
			b.Cluster.ControlKey(int16(kmsg.SyncGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
				if refused++; refused > 2 {
					return nil, nil, false
				}
				b.Cluster.KeepControl()
				answer := r.ResponseKind().(*kmsg.SyncGroupResponse)
				answer.ErrorCode = code.Code
				return answer, nil, true
			})
			s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-orders", Topics: []string{"orders"}})
			for ctx := kafkatest.Context(t); ; {
				records, err := s.Poll(ctx)
				if err != nil {
					t.Fatalf("expected the consumer to join again after %d refusals, found %v", refused, err)
				}
				if len(records) == 1 {
					break
				}
			}
			if refused < 3 {
				t.Errorf("expected SyncGroup to be refused twice, found %d requests", refused)
			}
		})
	}
}
