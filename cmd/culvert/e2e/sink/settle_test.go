package sink

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// skipAdvice matches the names of records in an error that requires a decision about them.
var skipAdvice = regexp.MustCompile(`errors\.uncertain\.skip=(\S+) to skip`)

// A version that hangs in handle-response takes over while records flow: the previous version handles the responses to
// its own requests, the records that the new version sent are reported, and each row is created once.
func TestVersionThatHangsInSettleTakesOver(t *testing.T) {
	t.Parallel()
	const rows, batch, inFlight, answered = 60, 20, 4, 10
	p, _, worker := e2etest.NewFilledPlace(t, rows)
	service := odatatest.New(odatatest.Options{Rows: rows})
	posts := atomic.Int32{}
	turns := make(chan struct{}, 2*rows)
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
			select {
			case <-turns:
			case <-r.Context().Done():
			}
		}
		service.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { close(turns) }) // before the server ends, which waits for its answers
	dir := e2etest.CopyPlugins(t, "odata-sink")
	lines := e2etest.CopySink(address, "tasks.max=1", e2etest.NoReadTimeout,
		fmt.Sprintf("sap.odata.flush.trigger.size=%d", batch),
		fmt.Sprintf("sap.odata.max.in.flight=%d", inFlight), fmt.Sprintf("consumer.override.max.poll.records=%d",
			batch))
	run := p.Start("run", "--once", "--set", "plugin.odata-sink.limits.call.ms=300", "--plugins", dir, "--data", p.Data,
		worker, p.File("back.properties", lines...))
	for range answered {
		turns <- struct{}{}
	}
	run.Eventually("requests on their way", func() bool { return posts.Load() == answered+inFlight })
	e2etest.ReplaceFile(t, dir, "odata-sink.wasm", guesttest.Looping(t, guesttest.Bytes(t,
		"../../../../plugins/odata-sink", "main.version=0.2.0"), wit.ExportName(wit.InterfaceSink, "handle-response")))
	run.AwaitStderr(`msg="plugin loaded" plugin=odata-sink version=0.2.0`)
	for range rows {
		turns <- struct{}{}
	}
	run.AwaitStderr("plugin=odata-sink from=0.1.0 to=0.2.0")
	r := run.Wait()
	var names []string
	for _, advice := range skipAdvice.FindAllStringSubmatch(r.Stderr, -1) {
		names = append(names, strings.Split(advice[1], ",")...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if sent := int(posts.Load()); r.Code != 1 || len(names) == 0 || len(names) != sent-batch {
		t.Fatalf("expected exit 1 and the %d records named that came behind the first batch, found %d and %q: %s",
			sent-batch, r.Code, names, r.Stderr)
	}
	p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", append(lines,
		"errors.uncertain.skip="+strings.Join(names, ","))...))
	e2etest.CheckCreatedOnce(t, service.Ledger(), rows)
}
