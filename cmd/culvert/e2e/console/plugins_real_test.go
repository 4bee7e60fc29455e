//go:build real

package console

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/wit"
)

// addUser writes a file with a user. It returns the worker's setting that names the file, and the header of the user's
// requests.
func addUser(t *testing.T, p *e2etest.Place) (setting string, header map[string]string) {
	t.Helper()
	request := http.Request{Header: http.Header{}}
	request.SetBasicAuth("anna", "right")
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	require.NoError(t, err)
	return "rest.basic.auth.file=" + p.File("users", "anna:"+string(hash)),
		map[string]string{"Authorization": request.Header.Get("Authorization")}
}

// shopPlugin returns the WebAssembly file of a source plugin whose only setting, shop.to, has a role.
func shopPlugin(version, role string) []byte {
	source := wit.Component{
		Name:     "org.example.Shop",
		Kind:     wit.ComponentSource,
		Settings: []wit.ConfigKey{{Name: "shop.to", Rules: []wit.Rule{{Role: &role}}}},
	}
	plugin := wit.Description{Name: "shop", Version: version, Components: []wit.Component{source}}
	return guesttest.Static(plugin, "", wit.InterfaceSource)
}

// The page of plugins shows a new version as active; buttons switch to the previous version and back. Rejected files
// are listed with the reason, including another file of a plugin that changes the role of a setting.
func TestRealVersionsOfPlugins(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	dir := e2etest.CopyPlugins(t)
	e2etest.WriteFile(t, dir, "shop.wasm", shopPlugin("1.0.0", "http.address"))
	p.File("conf/orders.properties", append(e2etest.Source("orders", address, "Orders"),
		"sap.odata#00.exec-period=1")...)
	users, header := addUser(t, p)
	listen := porttest.Address(t)
	p.File("conf/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen, users)
	w := p.StartWorkerAt(listen, "--plugins", dir, "--data", p.Data, "--config", "conf", "--set",
		"plugin.odata-source.limits.call.ms=1000")
	w.AwaitStderr("extraction finished: 5 rows")

	tab := NewBrowser(t).Open(header)
	tab.Load(w.URL + "/console/plugins")
	findRow := func(plugin, version string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].find(r => r.querySelector("th").innerText === %q &&
			r.cells[1].innerText === %q)`, plugin, version)
	}
	awaitState := func(plugin, version, state string) {
		t.Helper()
		tab.Await(version+" to be "+state, fmt.Sprintf(`(%s)?.cells[2].innerText.includes(%q)`,
			findRow(plugin, version), state))
	}
	press := func(name string) {
		t.Helper()
		tab.Await(name, fmt.Sprintf(`document.querySelector('button[aria-label=%q]')`, name))
		tab.Click(fmt.Sprintf(`button[aria-label=%q]`, name))
	}

	// A new file is used at once. The buttons switch back and forth.
	awaitState("odata-source", "0.1.0", "active")
	e2etest.ReplaceFile(t, dir, "odata-source.wasm", guesttest.Bytes(t, "../../../../plugins/odata-source",
		"main.version=0.2.0"))
	awaitState("odata-source", "0.2.0", "active")
	w.AwaitStderr("plugin=odata-source from=0.1.0 to=0.2.0")
	press("Previous version of odata-source")
	tab.AwaitText("will use the previous version")
	awaitState("odata-source", "0.1.0", "active, chosen")
	w.AwaitStderr("plugin=odata-source from=0.2.0 to=0.1.0")
	press("Use this version: odata-source 0.2.0")
	awaitState("odata-source", "0.2.0", "active, chosen")
	w.Eventually("the newer version once more", func() bool {
		return strings.Count(w.Stderr.String(), "plugin=odata-source from=0.1.0 to=0.2.0") == 2
	})

	// A version whose calls never return is replaced by the previous version, and the page has the reason.
	plugin := guesttest.Bytes(t, "../../../../plugins/odata-source", "main.version=0.3.0")
	e2etest.ReplaceFile(t, dir, "odata-source.wasm", guesttest.Looping(t, plugin,
		wit.ExportName(wit.InterfaceSource, "decode")))
	w.AwaitStderr("plugin=odata-source from=0.2.0 to=0.3.0")
	w.AwaitStderr("plugin=odata-source from=0.3.0 to=0.2.0")
	awaitState("odata-source", "0.3.0", "3 calls broke soon after it was activated")
	awaitState("odata-source", "0.2.0", "active")

	// A file that is no plugin
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken.wasm"), []byte("\x00asm, but none"), 0o600))
	tab.AwaitText("broken.wasm", "refused")
	tab.Await("the reason", `[...document.querySelectorAll("tbody tr")].find(r => r.innerText.includes("broken.wasm"))
		.querySelector(".problem")?.innerText.length > 10`)

	// A file that gives another role to a setting of the plugin
	e2etest.WriteFile(t, dir, "other.wasm", shopPlugin("2.0.0", "http.proxy.address"))
	tab.AwaitText("other.wasm", "gives the role http.proxy.address to the setting shop.to")
	awaitState("shop", "1.0.0", "active")
	tab.CheckQuiet(hostPort(w))
}
