package sink

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// A replay during another process's replay writes nothing and reports why, whichever data folders they use; it
// continues where the other one ended. A process that was stopped while another one replayed does not overwrite the
// other's state.
func TestReplayNextToAnother(t *testing.T) {
	t.Parallel()
	const rows = 40
	d := newDocuments(t, 1, newRecords(rows), "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1",
		"sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic")
	d.runSink(t, 100_000)
	e2etest.ReadTopic(t, d.broker, "refused", rows)
	// The response to the first document is held until release is called.
	address, isHeld, release := holdFirst(t, d.service, func(_ *http.Request, status int) bool {
		return status == http.StatusCreated
	})
	_, port, _ := strings.Cut(address, ":")
	// The client waits for the held response longer than the refused replay waits for its lock.
	slow := d.File("slow.properties", e2etest.WithSettings(d.lines, "sap.odata.host.port="+port,
		"sap.odata.connection.read.timeout.ms=300000")...)
	first := d.Start("dlq", "replay", "refused", "--plugins", e2etest.Plugins(t, "odata-sink", "smt"), "--data",
		d.Subfolder("elsewhere"), d.worker, slow)
	first.Eventually("a document", isHeld)
	d.checkReplay(t, 1, 1, "").WantStderr("connector inbox: dead letters are being replayed already")
	first.Signal(syscall.SIGSTOP)
	release()
	second := d.replay(t)
	first.Signal(syscall.SIGCONT)
	first.Wait().WantCode(1).WantStderr("group")
	d.checkReplay(t, 0, rows, "")
	second.WantCode(0)
}
