package group

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// Only different folders of members that stay keep a leader from applying its own folder. The result is unknown before
// the worker has received the digests of its group.
func TestConflictingWorkers(t *testing.T) {
	member := func(id, digest string, leaving bool) groupview.Member {
		return groupview.Member{WorkerID: id, Digest: digest, Leaving: leaving}
	}
	for _, c := range []struct {
		digest  string
		want    string
		members []groupview.Member
		isKnown bool
	}{
		{digest: "one"},
		{digest: "one", members: []groupview.Member{member("me", "old", false), member("a", "one", false)}},
		{digest: "one", members: []groupview.Member{member("me", "one", false), member("a", "", false)}, isKnown: true},
		{
			digest:  "one",
			want:    "a, b",
			isKnown: true,
			members: []groupview.Member{member("me", "one", false), member("a", "two", false),
				member("b", "three", false), member("c", "", false)},
		},
		{
			digest:  "one",
			isKnown: true,
			members: []groupview.Member{member("me", "one", false), member("a", "two", true)},
		},
		{
			want:    "a",
			isKnown: true,
			members: []groupview.Member{member("me", "", false), member("a", "one", false), member("b", "", false)},
		},
	} {
		conflicting, isKnown := conflictingWorkers(c.digest, groupview.Group{Leader: "me", Members: c.members})
		assert.Equal(t, c.want, conflicting, c)
		assert.Equal(t, c.isKnown, isKnown, c)
	}
}

// The warning about different folders is logged once, and shown until the group receives the leader's changes.
func TestConflictIsLoggedOnce(t *testing.T) {
	var journal logtest.Journal
	f := &Folder{worker: &Worker{Options: Options{Log: journal.Logger(slog.LevelInfo)}}, digest: "one"}
	groupWith := func(ownDigest, otherDigest string) groupview.Group {
		return groupview.Group{Leader: "me", Members: []groupview.Member{
			{WorkerID: "me", Digest: ownDigest},
			{WorkerID: "a", Digest: otherDigest},
		}}
	}
	unread := config.Snapshot{Problems: config.Problems{{Text: "unreadable"}}} // f.digest stays
	for _, c := range []struct {
		name         string
		digest       string
		group        groupview.Group
		isLeader     bool
		wantApply    bool
		wantConflict string
	}{
		{name: "another folder", digest: "one", group: groupWith("one", "two"), isLeader: true, wantConflict: "a"},
		{name: "an unpublished change", digest: "new", group: groupWith("one", "two"), isLeader: true,
			wantConflict: "a"},
		{name: "a published change", digest: "new", group: groupWith("new", "two"), isLeader: true, wantConflict: "a"},
		{name: "the same folder", digest: "new", group: groupWith("new", "new"), isLeader: true, wantApply: true},
		{name: "no leader", digest: "new", group: groupWith("new", "two")},
		{name: "no folder", group: groupWith("", ""), isLeader: true},
	} {
		f.digest = c.digest
		assert.Equal(t, c.wantApply, f.publishDigest(unread, c.group, c.isLeader), c.name)
		assert.Equal(t, c.wantConflict, f.conflicting, c.name)
	}
	assert.Equal(t, 1, strings.Count(journal.String(), conflictMessage))
}

// A call is retried if the next response may differ, also if the other worker does not know a newer session key yet
// (Kafka Connect: DistributedHerderTest.testKeyExceptionDetection).
func TestRetriableCalls(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{err: &rest.Refusal{Status: 409}, want: true},
		{err: &rest.Refusal{Status: 503}, want: true},
		{err: fmt.Errorf("at the worker w: %w", &rest.Refusal{Status: 403}), want: true},
		{err: &rest.Refusal{Status: 400}},
		{err: &rest.Refusal{Status: 500}},
		{err: &url.Error{Op: "Post", URL: "http://w", Err: errors.New("connection refused")}, want: true},
		{err: rest.ErrNoKey, want: true},
		{err: errors.New("any other error")},
	} {
		assert.Equal(t, c.want, isRetriable(c.err), c.err)
	}
}

// A request that a leader could not handle for a transient reason is repeated, whether this worker leads or another
// one.
func TestTransientLeaderErrorsAreRetried(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{err: fmt.Errorf("fence: %w", kerr.NotCoordinator), want: true},
		{err: kerr.TransactionalIDAuthorizationFailed},
		{err: &wit.Error{Kind: wit.ErrorTransient}, want: true},
		{err: &wit.Error{Kind: wit.ErrorConfig}},
		{err: fmt.Errorf("c: %w", connect.ErrUnknownConnector), want: true},
		// the leader has not read its configuration yet
	} {
		assert.Equal(t, []bool{c.want, c.want}, []bool{isRetriable(c.err), isRetriable(asHTTPError(c.err))}, c.err)
	}
}
