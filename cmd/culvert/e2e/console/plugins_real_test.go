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

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/wit"
)

// users returns the line of a worker's file that lets anna log on, and her header.
func users(t *testing.T, p *e2etest.Place) (line string, logon map[string]string) {
	t.Helper()
	logons := http.Request{Header: http.Header{}}
	logons.SetBasicAuth("anna", "right")
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	e2etest.NoError(t, err)
	return "rest.basic.auth.file=" + p.File("users", "anna:"+string(hash)),
		map[string]string{"Authorization": logons.Header.Get("Authorization")}
}

// shop returns a plugin whose only setting has a role.
func shop(version, role string) []byte {
	return guesttest.Static(wit.Description{Name: "shop", Version: version, Components: []wit.Component{{
		Name: "org.example.Shop", Kind: wit.ComponentSource, Settings: []wit.ConfigKey{{Name: "shop.to",
			Rules: []wit.Rule{{Role: &role}}}}}}}, "", wit.InterfaceSource)
}

// A version from a file shows as used; buttons switch to the version before, and back. Rejected files are listed with
// the reason, including a version that gives the role of an address to another setting.
func TestRealVersionsOfPlugins(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	dir := e2etest.Folder(t)
	e2etest.Put(t, dir, "shop.wasm", shop("1.0.0", "http.address"))
	p.File("conf/orders.properties", append(e2etest.Source("orders", address, "Orders"),
		"sap.odata#00.exec-period=1")...)
	line, logon := users(t, p)
	listen := porttest.Address(t)
	p.File("conf/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen, line)
	f := p.Serves(listen, "--plugins", dir, "--data", p.Data, "--config", "conf", "--set",
		"plugin.odata-source.limits.call.ms=1000")
	f.Awaits("extraction finished: 5 rows")
	tab := NewBrowser(t).Open(logon)
	tab.Go(f.Url + "/console/plugins")
	row := func(plugin, version string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].find(r => r.querySelector("th").innerText === %q &&
			r.cells[1].innerText === %q)`, plugin, version)
	}
	is := func(plugin, version, state string) {
		t.Helper()
		tab.Until(version+" to be "+state, fmt.Sprintf(`(%s)?.cells[2].innerText.includes(%q)`, row(plugin, version),
			state))
	}
	press := func(name string) {
		t.Helper()
		tab.Until(name, fmt.Sprintf(`document.querySelector('button[aria-label=%q]')`, name))
		tab.Click(fmt.Sprintf(`button[aria-label=%q]`, name))
	}
	is("odata-source", "0.1.0", "active")
	e2etest.Replace(t, dir, "odata-source.wasm", guesttest.Bytes(t, "../../../../plugins/odata-source",
		"main.version=0.2.0"))
	is("odata-source", "0.2.0", "active")
	f.Awaits("plugin=odata-source from=0.1.0 to=0.2.0")
	press("Previous version of odata-source")
	tab.Has("will use the previous version")
	is("odata-source", "0.1.0", "active, chosen")
	f.Awaits("plugin=odata-source from=0.2.0 to=0.1.0")
	press("Use this version: odata-source 0.2.0")
	is("odata-source", "0.2.0", "active, chosen")
	f.Eventually("the newer version once more", func() bool {
		return strings.Count(f.Stderr.String(), "plugin=odata-source from=0.1.0 to=0.2.0") == 2
	})
	// A version that blocks its calls is replaced by the version before, and the page has the reason.
	broken := guesttest.Bytes(t, "../../../../plugins/odata-source", "main.version=0.3.0")
	e2etest.Replace(t, dir, "odata-source.wasm", guesttest.Looping(t, broken,
		wit.ExportName(wit.InterfaceSource, "decode")))
	f.Awaits("plugin=odata-source from=0.2.0 to=0.3.0")
	f.Awaits("plugin=odata-source from=0.3.0 to=0.2.0")
	is("odata-source", "0.3.0", "3 calls broke soon after it was activated")
	is("odata-source", "0.2.0", "active")
	// This file is not a plugin.
	e2etest.NoError(t, os.WriteFile(filepath.Join(dir, "broken.wasm"), []byte("\x00asm, but none"), 0o600))
	tab.Has("broken.wasm", "refused")
	tab.Until("the reason", `[...document.querySelectorAll("tbody tr")].find(r => r.innerText.includes("broken.wasm"))
		.querySelector(".problem")?.innerText.length > 10`)
	e2etest.Put(t, dir, "other.wasm", shop("2.0.0", "http.proxy.address"))
	tab.Has("other.wasm", "gives the role http.proxy.address to the setting shop.to")
	is("shop", "1.0.0", "active")
	tab.Quiet(host(f))
}
