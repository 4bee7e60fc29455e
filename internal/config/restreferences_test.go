package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

const fileClass = "org.apache.kafka.common.config.provider.FileConfigProvider"

// References in connectors created by REST are resolved only by the providers of config.providers, except in settings
// that equal the settings of a file.
func TestReferencesOfREST(t *testing.T) {
	dir := t.TempDir()
	secrets := filepath.Join(dir, "secrets")
	write(t, secrets, "a=one\nb=two\n")
	references := "${file:" + secrets + ":a}"
	b := "${file:" + secrets + ":b}"
	stored := &Connector{Name: "c", Entries: []Entry{NewEntry("pwd", references, "", 0),
		NewEntry("transforms.t.type", "T", "", 0), NewEntry("transforms.t.x", references, "", 0)}}
	for _, test := range []struct {
		worker   string
		sent     map[string]string
		problems int
		pwd      string
	}{
		{sent: map[string]string{"pwd": references, "transforms.t.type": "T", "transforms.t.x": references},
			pwd: "one"},
		{sent: map[string]string{"pwd": b}, problems: 1},
		{sent: map[string]string{"other": references}, problems: 1},
		{worker: "config.providers=file\nconfig.providers.file.class=" + fileClass +
			"\nconfig.providers.file.param.allowed.paths=" + dir,
			sent: map[string]string{"pwd": b}, pwd: "two"},
	} {
		w := plainWorker(t, test.worker)
		received := NewRESTConnector("the request", test.sent, stored, w.Providers)
		pwd, _ := received.Get("pwd")
		assert.True(t, len(received.Problems) == test.problems && pwd == test.pwd,
			"%q: found %q %v", test.sent, pwd, received.Problems)
		for _, p := range received.Problems {
			assert.True(t, strings.Contains(p.Text, "config.providers=file"),
				"expected what opens the provider, found %v", p)
		}
	}
}

// Providers that let REST read everything cause warnings.
func TestUnboundedProvidersWarn(t *testing.T) {
	for class, bound := range map[string]string{"FileConfigProvider": "allowed.paths",
		"DirectoryConfigProvider": "allowed.paths", "EnvVarConfigProvider": "allowlist.pattern"} {
		lines := "config.providers=p\nconfig.providers.p.class=" + providerClasses + class
		if _, problems := newProviders(workerEntries(t, lines)); len(problems) != 1 || !problems[0].Warning ||
			!strings.Contains(problems[0].Text, "config.providers.p.param."+bound) {
			t.Errorf("%s: found %v", class, problems)
		}
		param := lines + "\nconfig.providers.p.param." + bound
		if _, problems := newProviders(workerEntries(t, param+"=/x")); len(problems) != 0 {
			t.Errorf("%s with a bound: found %v", class, problems)
		}
		want := "configurations received by REST can read everything that the worker can"
		if class == "EnvVarConfigProvider" {
			want = "an empty pattern"
		}
		providers, problems := newProviders(workerEntries(t, param+"= "))
		assert.True(t, len(problems) == 1 && problems[0].Warning && strings.Contains(problems[0].Text, want),
			"%s with an empty bound: expected %q, found %v", class, want, problems)
		if _, problems := providers.resolveAll([]Entry{NewEntry("k", "${p:PATH}", "", 0)}); problems.Err() == nil {
			t.Errorf("%s with an empty bound: expected no access to PATH of the environment", class)
		}
	}
}
