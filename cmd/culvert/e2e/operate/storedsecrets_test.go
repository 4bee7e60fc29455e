package operate

import (
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// eavesdropper is a service of somebody else, who notes who comes with a logon.
type eavesdropper struct {
	address string

	mu     sync.Mutex
	logons []string
}

func newEavesdropper(t *testing.T) *eavesdropper {
	e := &eavesdropper{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		user, password, basic := r.BasicAuth()
		if basic {
			e.logons = append(e.logons, user+" "+password)
		}
		if r.Header.Get("Proxy-Authorization") != "" || r.Header.Get("X-Key") != "" {
			e.logons = append(e.logons, "header")
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	e.address = strings.TrimPrefix(server.URL, "http://")
	return e
}

func (e *eavesdropper) took() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.logons...)
}

// A secret that is stored goes nowhere else than the stored configuration sends it, whichever way REST is asked: by a
// check, by PUT with what stands for it, by PATCH of what is next to it. The answer names the secret that is missing.
func TestStoredSecretsGoNowhereElse(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	other := newEavesdropper(t)
	_, port, err := net.SplitHostPort(other.address)
	e2etest.NoError(t, err)
	secrets := p.File("secrets.properties", "pwd=behind-a-file")
	p.Subfolder("conf")
	stored := map[string][]string{
		"plain": e2etest.Instead(e2etest.Source("plain", address, "Products"), "sap.odata.user.name=me", "sap.odata.user.pwd=in-place"),
		"behind": e2etest.Instead(e2etest.Source("behind", address, "Products"), "sap.odata.user.name=me",
			"sap.odata.user.pwd=${file:"+secrets+":pwd}"),
		"header": e2etest.Instead(e2etest.Source("header", address, "Products"), "sap.odata.auth.type=header",
			"sap.odata.header.X-Key=in-place"),
	}
	p.File("conf/behind.properties", stored["behind"]...)
	f := p.Follows("conf")
	f.Makes(stored["plain"]...)
	f.Makes(stored["header"]...)
	for name := range stored {
		f.Await(name, "runs", e2etest.Runs)
	}
	const password, key = "sap.odata.user.pwd", "sap.odata.header.X-Key"
	for name, c := range map[string]struct {
		connector, secret string
		set               map[string]string
	}{
		"port": {"plain", password, map[string]string{"sap.odata.host.port": port}},
		"proxy": {"plain", password, map[string]string{"sap.odata.proxy.type": "http",
			"sap.odata.proxy.address": other.address}},
		"reference": {"behind", password, map[string]string{"sap.odata.host.port": port}},
		"header":    {"header", key, map[string]string{"sap.odata.host.port": port}},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/connectors/" + c.connector + "/config"
			before := f.Must(200, "GET", path, "")
			shown := e2etest.Configuration(stored[c.connector])
			maps.Copy(shown, c.set)
			if !strings.HasPrefix(shown[c.secret], "${") {
				shown[c.secret] = "[hidden]"
			}
			for range 2 {
				answer := f.Must(200, "PUT", "/connector-plugins/ODataSource/config/validate", e2etest.AsJSON(t, shown))
				if !strings.Contains(answer, "expected the secret itself") {
					t.Errorf("the check finds nothing wrong: %.500s", answer)
				}
			}
			status, said := 400, c.secret+": expected the secret itself"
			if c.connector == "behind" {
				status, said = 409, "is kept in conf/"
			}
			for _, answer := range []string{f.Must(status, "PUT", path, e2etest.AsJSON(t, shown)),
				f.Must(status, "PATCH", path, e2etest.AsJSON(t, c.set))} {
				if !strings.Contains(answer, said) {
					t.Errorf("expected %s to be asked for, found %s", c.secret, answer)
				}
				if strings.Contains(answer, "in-place") || strings.Contains(answer, "behind-a-file") {
					t.Errorf("the answer shows the secret: %s", answer)
				}
			}
			f.Answers(200, "GET", path, "", before)
		})
	}
	if took := other.took(); len(took) > 0 {
		t.Errorf("somebody else was shown %q", took)
	}

	// What has nothing to do with where it goes needs no secret; and a secret that is shown goes where its owner says.
	f.Must(200, "PATCH", "/connectors/plain/config", `{"sap.odata.max.retries": "1", "sap.odata.user.name": "you"}`)
	f.Must(200, "PATCH", "/connectors/plain/config", e2etest.AsJSON(t, map[string]string{"sap.odata.host.port": port,
		password: "shown"}))
	f.Eventually("the logon that was shown", func() bool { return len(other.took()) > 0 })
	for _, logon := range other.took() {
		if logon != "you shown" {
			t.Errorf("expected what was shown, found %q", logon)
		}
	}
	f.Stop()
}
