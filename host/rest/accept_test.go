package rest

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// adopter is a worker with plugins.
type adopter struct {
	standIn
	plugins *plugin.Manager
}

func (a *adopter) Parts() Parts { return Parts{Plugins: a.plugins} }

// A version that waits for the user's word is accepted by a user who is known, and by nobody else.
func TestAccept(t *testing.T) {
	shop := func(version, role string) []byte {
		return guesttest.Static(wit.Description{Name: "shop", Version: version, Components: []wit.Component{{
			Name: "org.example.Shop", Kind: wit.ComponentSource, Settings: []wit.SettingSpec{{Name: "shop.to",
				Rules: []wit.Rule{{Role: &role}}}}}}}, "", wit.InterfaceSource)
	}
	folder := t.TempDir()
	other, broken := shop("2.0.0", "http.proxy.address"), []byte("\x00asm, but none")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "other.wasm"), other, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "broken.wasm"), broken, 0o600))
	open := func(settings map[string]string) *adopter {
		m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{folder}, Registry: record.NewRegistry(),
			Embedded: fstest.MapFS{"shop.wasm": {Data: shop("1.0.0", "http.address")}}, Settings: settings,
			Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { m.Close() })
		return &adopter{plugins: m}
	}
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("anna:"+hashed(t, "secret")+"\n"), 0o600))
	const path = "/culvert/plugins/shop/accept"
	sum := func(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
	text := func(a *http.Response) string {
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		return string(body)
	}
	ask := func(s *Server, logon, path, hash string) (int, string) {
		t.Helper()
		r, err := http.NewRequest("PUT", s.URLs()[0]+path, strings.NewReader(`{"hash":"`+hash+`"}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		if logon != "" {
			r.SetBasicAuth("anna", logon)
		}
		a, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		return a.StatusCode, text(a)
	}
	log := slog.New(slog.DiscardHandler)
	worker := open(nil)
	if status, body := ask(opened(t, Options{}, log, worker), "secret", path, sum(other)); status != 403 ||
		!strings.Contains(body, "rest.basic.auth.file") {
		t.Errorf("without users: expected 403, found %d %s", status, body)
	}
	s := opened(t, Options{Users: users}, log, worker)
	for what, c := range map[string]struct {
		logon, path, hash string
		status            int
		says              string
	}{
		"nobody":         {"", path, sum(other), 401, "rest.basic.auth.file"},
		"unknown":        {"secret", path, "00", 404, "there is no version of plugin shop"},
		"another plugin": {"secret", "/culvert/plugins/till/accept", sum(other), 404, "plugin till"},
		"broken":         {"secret", path, sum(broken), 409, "broken.wasm"},
	} {
		if status, body := ask(s, c.logon, c.path, c.hash); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: expected %d with %q, found %d %s", what, c.status, c.says, status, body)
		}
	}
	// A certificate that was verified is a logon, too; one that was not, or none, is not.
	for want, state := range map[int]*tls.ConnectionState{403: {}, 404: {VerifiedChains: [][]*x509.Certificate{{}}}} {
		r := httptest.NewRequest("PUT", path, strings.NewReader(`{"hash":"00"}`))
		r.Header.Set("Content-Type", "application/json")
		r.TLS = state
		w := httptest.NewRecorder()
		Handler(worker).ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, w.Body.String())
	}
	shown := func() (waits string) {
		r, err := http.NewRequest("GET", s.URLs()[0]+"/culvert/plugins", nil)
		require.NoError(t, err)
		r.SetBasicAuth("anna", "secret")
		a, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		return text(a)
	}
	assert.Contains(t, shown(), `"waits":"it waits for acceptance"`, `"version":"2.0.0"`)
	status, body := ask(s, "secret", path, strings.ToUpper(sum(other)))
	assert.Equal(t, 204, status, body)
	info, err := worker.plugins.Find(wit.ComponentSource, "org.example.Shop", "")
	require.NoError(t, err)
	assert.Equal(t, "2.0.0", info.Version)
	if strings.Contains(shown(), "waits") {
		t.Errorf("expected that it does not wait any more, found %s", shown())
	}
	given := opened(t, Options{Users: users}, log, open(map[string]string{"plugin.shop.accept": ""}))
	status, body = ask(given, "secret", path, sum(other))
	assert.Equal(t, 409, status, body)
	assert.Contains(t, body, "plugin.shop.accept")
}
