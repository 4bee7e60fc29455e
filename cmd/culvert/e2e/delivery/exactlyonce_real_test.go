//go:build real

package delivery

import "github.com/culvert-project/culvert/internal/e2etest"

// Opens starts a worker that reads the set, and holds it up where it has produced a part of a page, with so many bytes
// of the answers: in a transaction of ten seconds.
func (e *Exactly) Opens(k *e2etest.ExactPeer, after int) *e2etest.Command {
	e.t.Helper()
	e.Edit()
	e.Held.Arm(after)
	w := e.Start(false, e.Files("producer.override.transaction.timeout.ms=10000")[0])
	e.Waits(w)
	k.Open(true)
	return w
}
