package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
)

// memberAt returns a member with the URL http://HOST.
func memberAt(host string) Member {
	return Member{ID: host, Metadata: Metadata{URL: "http://" + host, Name: "http://" + host}}
}

// A lost member is known until its tasks have moved, and for an hour after. One that was leaving has left. Members that
// return, or have never left, are not listed.
func TestFormerMembers(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	alive := memberAt("alive")
	leaving := memberAt("leaving")
	leaving.Leaving = true
	behind := memberAt("behind")
	behind.Leaving = true
	behind.IsBehind = true
	delay := 5 * time.Minute
	waiting := AssignorState{members: []memberHistory{{name: "http://lost", missingSince: start,
		assigned: []ResourceSet{{Connector: 1, Resources: ResourceIndexes{0b111}}}}}}
	earlier := []Member{alive, leaving, behind, memberAt("lost")}
	former := formerMembers(nil).after(Input{Now: start.Add(-time.Second), Delay: delay, Members: earlier}, nil,
		AssignorState{})
	former = former.after(Input{Now: start, Delay: delay, Members: []Member{alive}}, earlier, waiting)
	text := func(after time.Duration) (lines string) {
		members := []groupview.Member{{WorkerID: "alive"}}
		for _, f := range former.list(start.Add(after), members) {
			lines += f.WorkerID + " " + f.Text + "; "
		}
		return lines
	}
	assert.Equal(t, "behind lost 60 s ago; leaving left 61 s ago; lost lost 60 s ago, its 2 tasks move in 4:00; ",
		text(time.Minute))
	former = former.after(Input{Now: start.Add(delay), Delay: delay, Members: []Member{alive, behind}}, []Member{alive},
		AssignorState{})
	assert.Equal(t, "leaving left 60 min ago; lost lost 59 min ago, other workers run its tasks; ",
		text(time.Hour-time.Second))
	assert.Equal(t, "lost lost 65 min ago, other workers run its tasks; ", text(time.Hour+delay))
	assert.Equal(t, "", text(time.Hour+delay+time.Second))
	assert.Equal(t, 1, len(former.after(Input{Now: start.Add(time.Hour + delay), Members: []Member{alive}}, nil,
		AssignorState{})), "members that are not expired")
	former = former.after(Input{Now: start.Add(delay), Members: []Member{memberAt("lost")}}, nil, AssignorState{})
	assert.Equal(t, "leaving left 5 min ago; ", text(delay), "after its return")
}

// A new leader knows what its predecessor has sent, and that this one is lost. It assigns waiting tasks at once.
func TestFormerMembersOfANewLeader(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sent, err := Assignment{Former: formerMembers{"w1": {WorkerID: "w1", Name: "http://w1", Since: now.Add(-time.Minute),
		Tasks: 3, Moves: new(now.Add(time.Minute))}}}.Encode()
	assert.Equal(t, nil, err)
	received, err := DecodeAssignment(sent)
	assert.Equal(t, nil, err)
	former := received.Former.after(Input{Now: now, Members: []Member{memberAt("w3")}}, []Member{memberAt("w2")},
		AssignorState{})
	lines := ""
	for _, f := range former.list(now, nil) {
		lines += f.WorkerID + " " + f.Text + "; "
	}
	assert.Equal(t, "w1 lost 60 s ago, other workers run its tasks; w2 lost 0 s ago; ", lines)
}

func TestFormerMembersAreBounded(t *testing.T) {
	t.Parallel()
	former := formerMembers{}
	for n := range maxFormer + 1 {
		former = former.after(Input{Now: time.Now()}, []Member{memberAt(fmt.Sprint("w", n))}, AssignorState{})
		assert.Equal(t, min(n+1, maxFormer), len(former))
	}
	_, ok := former["w0"]
	assert.True(t, !ok, "expected the newest ones, found the oldest one")
}
