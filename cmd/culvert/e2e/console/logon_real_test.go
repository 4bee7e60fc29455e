//go:build real

package console

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A refused logon of a connector in a file is checked and retried by keyboard on the page of the connector, after its
// user was unlocked. The log follows, until it is paused.
func TestRealRefusedLogonByKeyboard(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{LockAfter: 1}})
	e2etest.LockUser(t, address)
	p.File("conf/hr.properties", e2etest.WithLogon(e2etest.Source("hr", address, "Orders"))...)
	worker := p.StartWorker("conf")
	worker.Await("hr", "has failed", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	b := NewBrowser(t)
	tab := b.Open(nil)
	tab.Load(worker.URL + "/console/connector?name=hr")
	tab.AwaitText("Change sap.odata.user.pwd in conf/hr.properties:", "Change the password",
		"the user is unlocked, run culvert connectors lockouts resume")
	tab.CheckAccessible("a refused logon")
	const retry = `form:has([value="resume-logons"]) `
	tab.TabTo(`form:has([value="check-logon"]) button`)
	tab.Press(kb.Enter)
	tab.Await("the result of the check", `document.getElementById("toast").innerText.includes("was refused (401)")`)
	refused := s.Ledger().FailedLogonsOf["me"]
	assert.True(t, refused == 2, "expected one logon of the worker after the guess, found %d refused ones", refused)
	s.Set("unlock-users", "")
	tab.TabTo(retry + "input[name=sure]")
	tab.Press(" ")
	tab.TabTo(retry + "button")
	tab.Press(kb.Enter)
	tab.Await("a running connector", `["idle", "running"].includes(document.querySelector(".top .pill").innerText)`)

	tab.Load(worker.URL + "/console/log")
	tab.AwaitText("refused logons are retried")
	other := b.Open(nil)
	other.Load(worker.URL + "/console/log")
	tab.Click(".filters button.pause")
	tab.Await("both buttons", `[...document.querySelectorAll("button.pause")].every(b => b.ariaPressed === "true")`)
	worker.Steer("hr", "pause")
	other.AwaitText("hr/pause")
	assert.True(t, !strings.Contains(tab.Text(), "hr/pause"), "expected no new line in a paused log, found one")
	tab.Click("#pause")
	tab.AwaitText("hr/pause")
	tab.CheckQuiet(hostPort(worker))
}

// A wrong password in a file is found and mended by keyboard from the page of its connector, as the guide tells: the
// right one is tried in the form, the text downloaded, and what is hidden in it filled in.
func TestRealWrongPasswordOfAFileByKeyboard(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5, User: "me", Password: e2etest.Password})
	const file = "conf/hr.properties"
	p.File(file, e2etest.WithLogon(e2etest.Source("hr", address, "Orders"), "sap.odata.user.pwd=guessed")...)
	worker := p.StartWorker("conf")
	tab := keyboardForm{Tab: NewBrowser(t).Open(nil)}
	downloads := t.TempDir()
	tab.SaveDownloads(downloads)
	tab.Load(worker.URL + "/console/")
	tab.AwaitText(`the password of user "me" was refused (401)`)
	tab.TabTo(`#rows a`)
	tab.Press(kb.Enter)
	tab.AwaitText("Change sap.odata.user.pwd in " + file + ":")
	tab.TabTo(`a[href^="form?name=hr"]`)
	tab.Press(kb.Enter)
	tab.typeField("sap.odata.user.pwd", e2etest.Password)
	tab.leaveField()
	tab.TabTo(`button[value="check"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("me was accepted")
	tab.TabTo(`button[value="download"]`)
	tab.Press(kb.Enter)
	_, text := tab.Download(worker, downloads, "hr.properties")
	hidden := strings.Count(text, "[hidden]")
	require.True(t, hidden == 1, "expected one hidden value, found %d in\n%s", hidden, text)
	tab.Load(worker.URL + "/console/connector?name=hr")
	p.File(file, strings.ReplaceAll(text, "[hidden]", e2etest.Password))
	tab.Await("a running connector", `["idle", "running"].includes(document.querySelector(".top .pill").innerText)`)
	worker.AwaitStderr("extraction finished: 5 rows")
	assert.Equal(t, 1, s.Ledger().FailedLogonsOf["me"], "refused logon")
	tab.CheckQuiet(hostPort(worker))
}
