//go:build real

package console

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// attackPage is a page that makes the browser send everything that a page of another origin can: forms into frames,
// from itself and from frames without an origin, and fetch in each mode. It waits until each has ended. The console in
// a frame comes last. TARGET is the origin of the worker.
const attackPage = `<!DOCTYPE html><title>Kittens</title><body><script>
const target = "TARGET";
const fields = "<input name=do value=pause><input name=name value=orders>";
const post = id => "<form method=post action='" + target + "/console/act' id=f target='" + id + "'>" + fields +
	"</form>";
function frame(make) {
  return new Promise(done => {
    const f = document.createElement("iframe");
    f.name = "f" + Math.random();
    make(f);
    f.addEventListener("load", done, {once: true});
    document.body.append(f);
  });
}
async function attempt() {
  const sent = new URLSearchParams({do: "pause", name: "orders"});
  const quiet = promise => promise.then(a => a.type === "opaque" ? 0 : a.status, () => -1);
  const all = [
    quiet(fetch(target + "/console/act?a=no-cors", {method: "POST", mode: "no-cors", credentials: "include",
	body: sent})),
    quiet(fetch(target + "/console/act?a=cors", {method: "POST", credentials: "include", body: sent})),
    quiet(fetch(target + "/console/act?a=json", {method: "POST", headers: {"Content-Type": "application/json"},
body: "{}"})), quiet(fetch(target + "/connectors/orders/restart?includeTasks=true", {method: "POST", mode: "no-cors"})),
    quiet(fetch(target + "/connectors/orders/pause", {method: "PUT"})),
    quiet(fetch(target + "/connectors/orders", {method: "DELETE"})),
    quiet(fetch(target + "/connectors", {method: "POST", mode: "no-cors", body: '{"name":"forged","config":{}}'})),
    quiet(fetch(target + "/console/form?a=read")),
  ];
  const own = frame(f => {});
  await own;
  const inner = document.querySelector("iframe");
  document.body.insertAdjacentHTML("beforeend", post(inner.name));
  const sentByForm = new Promise(done => inner.addEventListener("load", done, {once: true}));
  document.getElementById("f").submit();
  await sentByForm;
  const script = "<body>" + post("_self") + "<script>document.getElementById('f').submit()<" + "/script>";
  await frame(f => { f.sandbox = "allow-scripts allow-forms"; f.srcdoc = script; });
  await frame(f => { f.src = "data:text/html," + encodeURIComponent(script); });
  await frame(f => { f.id = "framed"; f.src = target + "/console/?a=frame"; });
  return (await Promise.all(all)).join(" ");
}
</script>`

// Requests that a page of another origin sends through a browser change nothing at a worker without logon, whatever the
// names of both are: neither by a form, nor by fetch, nor without an origin, nor by a name that resolves to the worker
// (DNS rebinding). The console is shown in no frame. A click on the real page works.
func TestRealForgedRequests(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	p.File("conf/orders.properties", e2etest.Source("orders", address, "Orders")...)
	worker := p.StartWorker("conf", "rest.allowed.hosts=console.test")
	worker.AwaitStderr("extraction finished: 5 rows")
	_, port, err := net.SplitHostPort(hostPort(worker))
	require.NoError(t, err)
	evil := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, strings.ReplaceAll(attackPage, "TARGET", r.URL.Query().Get("target")))
	}))
	_, evilPort, err := net.SplitHostPort(evil)
	require.NoError(t, err)
	b := NewBrowser(t)
	checkUnchanged := func(what string) {
		t.Helper()
		if n := strings.Count(worker.Stderr.String(), "changed by REST"); n > 0 {
			t.Fatalf("%s: expected no change, found\n%s", what, worker.Stderr.String())
		}
	}
	for _, target := range []string{"http://127.0.0.1:" + port, "http://console.test:" + port} {
		// The port of each differs from the worker's.
		for _, from := range []string{"127.0.0.1", "evil.test", "console.test"} {
			what := from + " against " + target
			tab := b.Open(nil)
			tab.Load("http://" + from + ":" + evilPort + "/?target=" + target)
			statuses := Eval[string](tab, "attempt()")
			assert.Equal(t, "0 -1 -1 0 -1 -1 0 -1", statuses, what, "other responses of fetch")
			worker.Eventually("the three forms to be sent", func() bool {
				return strings.Count(strings.Join(tab.Requests(), "\n")+"\n", "POST "+target+"/console/act\n") == 3
			})
			worker.Eventually("the browser to refuse a frame", func() bool {
				return strings.Contains(strings.Join(tab.Console(), "\n"), "frame-ancestors")
			})
			sent := strings.Join(tab.Requests(), "\n")
			for _, forged := range []string{
				"POST " + target + "/console/act?a=no-cors",
				"POST " + target + "/console/act?a=cors",
				"POST " + target + "/connectors/orders/restart?includeTasks=true",
				"POST " + target + "/connectors",
				"GET " + target + "/console/?a=frame",
			} {
				assert.True(t, strings.Contains(sent, forged), "%s: expected the browser to send %s", what, forged)
			}
			checkUnchanged(what)
		}
	}
	// An attacker's name that resolves to the worker: for the browser its pages have the worker's origin.
	tab := b.Open(nil)
	tab.Load("http://evil.test:" + port + "/console/")
	tab.AwaitText("Host is not a name of this worker")
	for _, request := range []string{
		`"/console/act", {method: "POST", body: new URLSearchParams({do: "pause", name: "orders"})}`,
		`"/connectors/orders/pause", {method: "PUT"}`,
		`"/connectors/orders/config"`,
		`"/console/form?name=orders"`,
	} {
		status := Eval[int](tab, "fetch("+request+").then(a => a.status)")
		assert.Equal(t, 403, status, "by another name", request, "status")
	}
	checkUnchanged("another name")
	for _, name := range []string{"127.0.0.1", "console.test"} {
		tab := b.Open(nil)
		tab.Load(fmt.Sprintf("http://%s:%s/console/connector?name=orders", name, port))
		tab.Click(`form.act:has(input[value="pause"]) button`)
		tab.AwaitText("orders is being paused", "paused")
		tab.Click(`form.act:has(input[value="resume"]) button`)
		tab.AwaitText("orders is being resumed")
		tab.CheckQuiet("127.0.0.1:"+port, "console.test:"+port)
	}
	if n := strings.Count(worker.Stderr.String(), "changed by REST"); n != 4 {
		t.Errorf("expected the changes of four clicks alone, found %d:\n%s", n, worker.Stderr.String())
	}
}
