package sink

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// knower is a plugin that learns from its first answer what a check has to know.
type knower struct{ checker }

const knows = "known=nabc"

func (k *knower) Settle(ctx context.Context, _ []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.Settled, error) {
	settled, err := k.checker.Settle(ctx, []byte(k.version), memo, rows, response)
	if response.Status == 201 {
		settled.Context = wit.Ptr([]byte(knows + "\nand more"))
	}
	return settled, err
}

// newKnown is a world in which what may be looked up is: a plugin that knows finds nothing out, else nothing is there.
func newKnown() (x *world, k *knower) {
	k = &knower{}
	x = newWorldOf(&k.writer, k)
	x.o.InFlight = 1
	x.group.put("t", 0, "a=1", "b=1", "c=1", "d=1", "e=1")
	return x, k
}

// What the plugin knows is stored before anything else is sent that must not be sent twice, and comes back with each
// record in doubt, at a later run and at the member that the partition goes to, also where that has learned nothing.
func TestWhatThePluginKnowsIsStored(t *testing.T) {
	at := topicPartition{"t", 0}
	for _, name := range []string{"killed", "killed twice", "lost", "no commit at first"} {
		runtest.Bubble(t, name, func(t *testing.T) {
			x, k := newKnown()
			x.o.CommitEvery = time.Hour
			x.service.answer = func(n int, body string) (uint16, error) {
				if n > 1 && !strings.Contains(x.metadata(at), knows) {
					t.Errorf("%s is sent, and the metadata are %q", body, x.metadata(at))
				}
				if n == 1 && name == "no commit at first" {
					x.group.refusing(errors.New("nobody there"))
					time.AfterFunc(10*time.Second, func() { x.group.refusing(nil) })
				}
				if body == "c" && name == "lost" {
					return 0, lostAnswer()
				}
				return 201, nil
			}
			switch name {
			case "lost":
				k.says = func(uint16) wit.Verdict {
					return wit.Verdict{Refused: &wit.Fault{Kind: wit.FaultConflict, Message: "it numbers"}}
				}
				x.fails(t, `offset 2, key "c"`)
			default:
				killed(t, x, 3)
			}
			for range map[bool]int{true: 2, false: 1}[name == "killed twice"] {
				x.service.answer = byBody(map[string]uint16{"look a": 503, "look b": 503, "look c": 503})
				x.o.Uncertain, x.o.Settled, k.hints, k.says = nil, nil, nil, nil
				if _, err := x.run(t); err == nil {
					t.Error("expected the record to be named")
				}
				if len(k.hints) == 0 || slices.ContainsFunc(k.hints, func(h string) bool {
					return !strings.HasSuffix(h, ":uncertain "+knows)
				}) {
					t.Errorf("expected checks that know, found %q", k.hints)
				}
				if text := x.metadata(at); !strings.Contains(text, knows) {
					t.Errorf("expected metadata that say so, found %q", text)
				}
			}
			posts := slices.DeleteFunc(x.service.seen(), func(body string) bool {
				return strings.HasPrefix(body,
					"look ")
			})
			assert.Equal(t, []string{"a", "b", "c"}, posts, "inserts")
		})
	}
}
