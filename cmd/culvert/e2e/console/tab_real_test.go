//go:build real

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	webpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Browser is a real browser that can reach this machine only.
type Browser struct {
	t   *testing.T
	ctx context.Context
	axe string
}

// NewBrowser starts a browser, which ends with the test. Hosts below .test resolve to this machine.
func NewBrowser(t *testing.T) *Browser {
	t.Helper()
	fetch := exec.Command(filepath.Join(e2etest.Bench.Root, "testdata/peers/browser/fetch.sh"))
	fetch.Stderr = os.Stderr
	out, err := fetch.Output()
	require.NoError(t, err)
	program, file, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	axe, err := os.ReadFile(file)
	require.NoError(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("font-render-hinting", "none"))
	if os.Geteuid() == 0 { // it refuses to start with its sandbox
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx))
	return &Browser{t: t, ctx: ctx, axe: string(axe)}
}

// Tab is a tab of a browser with a page.
type Tab struct {
	b   *Browser
	ctx context.Context

	// Close closes the page, which ends its requests to the worker.
	Close func()

	mu       sync.Mutex
	console  []string
	requests []string
}

// Open opens a tab. headers are sent with each of its requests, for example a logon.
func (b *Browser) Open(headers map[string]string) *Tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	tab := &Tab{b: b, ctx: ctx, Close: cancel}
	require.NoError(b.t, chromedp.Do(ctx))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(b.t, err)
	if headers != nil {
		encoded, err := json.Marshal(headers)
		require.NoError(b.t, err)
		var h network.Headers
		require.NoError(b.t, json.Unmarshal(encoded, &h))
		_, err = chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: h})
		require.NoError(b.t, err)
	}
	messages := chromedp.Console(ctx)
	requests := chromedp.Events(ctx, network.RequestWillBeSent)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			tab.mu.Lock()
			tab.console = append(tab.console, string(m.Type)+": "+m.Text)
			tab.mu.Unlock()
		}
	}()
	go func() {
		for r, err := range requests {
			if err != nil {
				return
			}
			tab.mu.Lock()
			tab.requests = append(tab.requests, r.Request.Method+" "+r.Request.URL)
			tab.mu.Unlock()
		}
	}()
	dialogs := chromedp.Events(ctx, webpage.JavascriptDialogOpening)
	go func() { // a page waits for somebody to close it
		for d, err := range dialogs {
			if err != nil {
				return
			}
			tab.mu.Lock()
			tab.console = append(tab.console, "dialog: "+d.Message)
			tab.mu.Unlock()
			_, _ = chromedp.Call(ctx, webpage.HandleJavaScriptDialog, webpage.HandleJavaScriptDialogParams{})
		}
	}()
	return tab
}

// Do performs actions.
func (t *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	t.b.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, e2etest.WaitLimit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.b.t.Fatalf("%v\n%s", err, t.Text())
	}
}

// Load loads a page.
func (t *Tab) Load(at string) {
	t.b.t.Helper()
	t.Do(chromedp.Navigate(at))
}

// Eval returns the value of an expression in the page.
func Eval[T any](tab *Tab, expression string) T {
	tab.b.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, e2etest.WaitLimit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(tab.b.t, err, expression)
	return v
}

// Await waits until an expression is true in the page, e2etest.WaitLimit at most, and returns the waiting time.
func (t *Tab) Await(what, expression string) time.Duration {
	t.b.t.Helper()
	began := time.Now()
	condition := chromedp.Evaluate[bool]("(() => { try { return Boolean(" + expression +
		") } catch { return false } })()")
	for {
		// A page that is loading or closing answers nothing.
		if holds, err := chromedp.Run(t.ctx, condition); err == nil && holds {
			break
		}
		if time.Since(began) > e2etest.WaitLimit {
			t.Screenshot("failed")
			t.b.t.Fatalf("expected %s within %v, found\n%s\nconsole %q", what, e2etest.WaitLimit, t.Text(), t.Console())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// Text returns the visible text of the page.
func (t *Tab) Text() string {
	text, _ := chromedp.Run(t.ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
	return text
}

// AwaitText waits for texts on the page.
func (t *Tab) AwaitText(texts ...string) {
	t.b.t.Helper()
	for _, text := range texts {
		t.Await(fmt.Sprintf("the text %q", text), fmt.Sprintf("document.body.innerText.includes(%q)", text))
	}
}

// Press presses keys.
func (t *Tab) Press(keys string) {
	t.b.t.Helper()
	t.Do(chromedp.KeyEvent(keys))
}

// TabTo moves the focus to an element with the key Tab alone.
func (t *Tab) TabTo(selector string) {
	t.b.t.Helper()
	for range 400 {
		if Eval[bool](t, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
		t.Press(kb.Tab)
	}
	t.b.t.Fatalf("expected the key Tab to lead to %s, found\n%s", selector, t.Text())
}

// Click clicks an element with the mouse.
func (t *Tab) Click(selector string) {
	t.b.t.Helper()
	t.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Type replaces the text of a field.
func (t *Tab) Type(selector, text string) {
	t.b.t.Helper()
	t.Await("the field "+selector, fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector))
	Eval[bool](t, fmt.Sprintf("(e => { e.focus(); e.select(); return true })(document.querySelector(%q))", selector))
	t.Press(text)
}

// Value returns the value of a field.
func (t *Tab) Value(selector string) string {
	t.b.t.Helper()
	return Eval[string](t, fmt.Sprintf("document.querySelector(%q).value", selector))
}

// SetHidden makes the page believe that it is hidden, or visible again. Without a window each tab is visible, so the
// property is replaced.
func (t *Tab) SetHidden(hidden bool) {
	t.b.t.Helper()
	Eval[bool](t, fmt.Sprintf(`Object.defineProperty(document, "hidden", {configurable: true, get: () => %v}) &&
		document.dispatchEvent(new Event("visibilitychange"))`, hidden))
}

// DisableScripts disables scripts from the next page on.
func (t *Tab) DisableScripts() {
	t.b.t.Helper()
	_, err := chromedp.Call(t.ctx, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t.b.t, err)
}

// SaveDownloads stores downloads in a folder.
func (t *Tab) SaveDownloads(folder string) {
	t.b.t.Helper()
	_, err := chromedp.CallBrowser(t.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder})
	require.NoError(t.b.t, err)
}

// Download returns the path and the text of a downloaded file. The browser creates an empty file first.
func (t *Tab) Download(worker *e2etest.Worker, folder, name string) (file, text string) {
	t.b.t.Helper()
	file = filepath.Join(folder, name)
	worker.Eventually("the file "+name, func() bool {
		content, err := os.ReadFile(file)
		text = string(content)
		return err == nil && text != ""
	})
	return file, text
}

// Resize sets the size of the window.
func (t *Tab) Resize(width, height int64) {
	t.b.t.Helper()
	t.Do(chromedp.EmulateViewport(width, height))
}

// SetMedia sets a media feature of the pages, such as prefers-color-scheme to dark.
func (t *Tab) SetMedia(feature, value string) {
	t.b.t.Helper()
	_, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: value}}})
	require.NoError(t.b.t, err)
}

// CheckAccessible fails if axe-core reports a violation in the page.
func (t *Tab) CheckAccessible(what string) {
	t.b.t.Helper()
	if !Eval[bool](t, "Boolean(window.axe)") {
		Eval[bool](t, t.b.axe+"\n;true")
	}
	violations := Eval[string](t, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
		"best-practice"]}).then(r => r.violations.map(v => v.id + ": " + v.help + "\n" +
		v.nodes.slice(0, 3).map(n => "  " + n.html + "\n  " + n.failureSummary).join("\n")).join("\n"))`)
	assert.True(t.b.t, violations == "", "%s: expected no violation, axe-core found\n%s", what, violations)
}

// Screenshot returns a screenshot. If CULVERT_SHOTS is set, it is also stored in that folder as NAME.png.
func (t *Tab) Screenshot(name string) []byte {
	t.b.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, e2etest.WaitLimit)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(t.b.t, err)
	if folder := os.Getenv("CULVERT_SHOTS"); folder != "" {
		require.NoError(t.b.t, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600))
	}
	return picture
}

// Console returns the page's console messages.
func (t *Tab) Console() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.console...)
}

// RemoveMessages removes the console messages that contain a text, and returns their number.
func (t *Tab) RemoveMessages(text string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := len(t.console)
	t.console = slices.DeleteFunc(t.console, func(line string) bool { return strings.Contains(line, text) })
	return lines - len(t.console)
}

// Requests returns all requests of the page as METHOD URL.
func (t *Tab) Requests() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.requests...)
}

// CheckQuiet fails if the page has logged console messages, or has sent requests to other hosts than the workers'.
func (t *Tab) CheckQuiet(hosts ...string) {
	t.b.t.Helper()
	for _, line := range t.Console() {
		t.b.t.Errorf("expected an empty console of the browser, found %q", line)
	}
	for _, r := range t.Requests() {
		_, address, _ := strings.Cut(r, " ")
		u, err := url.Parse(address)
		assert.True(t.b.t, err == nil && (u.Scheme == "data" || strings.Contains(strings.Join(hosts, " "), u.Host)),
			"expected requests to the worker only, found %s", r)
	}
}
