package connect

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/check/checktest"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// REST shows configurations and tasks as they were written, as Kafka Connect does, or with passwords masked: never what
// stands behind a reference.
func TestConfigurationsAsREST(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter2\nuser=reader\n"), 0o600))
	pwd, user := "${file:"+file+":pwd}", "${file:"+file+":user}"
	b := newBench(t, checktest.WithSpy(t))
	written := map[string]string{"name": "c", "connector.class": "test.SpySource", "spy.scheme": "http",
		"spy.address": "127.0.0.1", "spy.port": "1",
		"spy.user": user, "spy.password": pwd, "spy#00.token": "cl3ar", "spy.pasword": "x", "unknown.settings": "warn",
		"something.password":                 "cl3ar",
		"producer.override.sasl.jaas.config": "cl3ar", "transforms.x.password": "cl3ar", "config.action.reload": "none"}
	masked := map[string]string{"spy.password": config.Mask, "spy#00.token": config.Mask,
		"something.password":                 config.Mask,
		"producer.override.sasl.jaas.config": config.Mask, "transforms.x.password": config.Mask}
	var lines []string
	for key, value := range written {
		lines = append(lines, key+"="+value)
	}
	given := b.Connector(t, lines...)
	passwords := check.Passwords(b.options.Plugins)
	for hidden, hides := range map[bool]map[string]string{false: nil, true: masked} {
		shown := func(settings map[string]string) map[string]string { return settings }
		if hidden {
			shown = func(settings map[string]string) map[string]string {
				return config.MaskPasswords(settings,
					passwords)
			}
		}
		h := New(b.options, []*config.Connector{given})
		c := h.controllers["c"].current()
		guest := check.Guest(b.options.Plugins, c.class.plugin, c.class.component)
		settings := guest.Settings(given)
		c.set.tasks = append(c.set.tasks, &task{connector: c, settings: settings})
		want := map[string]string{}
		for key, value := range written {
			if want[key] = value; hides[key] != "" {
				want[key] = hides[key]
			}
		}
		info, _ := h.Info("c")
		assert.Equal(t, want, shown(info.Config), "masked", hidden)
		tasks, _ := h.Tasks("c")
		if len(tasks) != 1 {
			t.Fatalf("expected a task, found %v", tasks)
		}
		found := shown(tasks[0].Config)
		if class := found["task.class"]; class != "test.SpySourceTask" {
			t.Errorf("expected the task's class, found %s", class)
		}
		for _, key := range []string{"connector.class", "spy.address", "spy.user", "spy.password", "spy#00.token"} {
			if found[key] != want[key] {
				t.Errorf("masked=%t, task: %s: expected %q, found %q", hidden, key, want[key], found[key])
			}
		}
	}
}

// What a plugin planned is found again from the tasks as they were written, with no secret in them: whatever the plugin
// hands on as it was given, leaves out or empties, and makes itself of settings that are no references.
func TestPlannedAsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter2\nuser= reader \n"), 0o600))
	b := newBench(t, checktest.WithSpy(t))
	given := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.scheme=http", "spy.address=  127.0.0.1",
		"spy.port=1", "spy.user=${file:"+file+":user}", "spy.password=${file:"+file+":pwd}", "spy#00.token=cl3ar",
		"spy.claim=x-${file:"+file+":user}", "topics=a, b", "spy.pasword=x", "errors.tolerance=all")
	c := New(b.options, []*config.Connector{given}).controllers["c"].current()
	guest := check.Guest(b.options.Plugins, c.class.plugin, c.class.component)
	d := config.DeclareComponent(c.class.component)
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 26))
		guest.BuiltIn = seed%2 == 0 // else it does not see what files hold
		shown := guest.Settings(given)
		want := []wit.Setting{}
		for _, s := range shown {
			e, _ := given.Entry(s.Name)
			switch n := random.IntN(6); {
			case n == 0:
				continue
			case n == 1:
				s.Value = ""
			case n == 2 && !e.Value.Secret() && s.Value != config.Mask:
				s.Value = fmt.Sprint(s.Value, random.IntN(3))
			}
			want = append(want, s)
		}
		for n := range random.IntN(3) {
			want = append(want, wit.Setting{Name: fmt.Sprint("feed.", n), Value: "1:Orders"})
		}
		written := c.asWritten(given, want)
		written[taskClassKey] = "test.SpySourceTask"
		for name, value := range written {
			if strings.Contains(value, "hunter2") || strings.Contains(value, "reader") {
				t.Fatalf("seed %d: %s: expected a reference, found %s", seed, name, value)
			}
		}
		slices.SortFunc(want, func(a, b wit.Setting) int { return strings.Compare(a.Name, b.Name) })
		found := asPlanned(d, given, shown, written)
		assert.Equal(t, want, append([]wit.Setting{}, found...), seed)
		if t.Failed() {
			t.Fatalf("written %v", written)
		}
	}
	// The reference leads elsewhere by now.
	guest.BuiltIn = true
	written := c.asWritten(given, guest.Settings(given))
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter3\nuser=writer\n"), 0o600))
	again, err := given.Resolve(b.options.Worker.Providers)
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(asPlanned(d, again, guest.Settings(again), written)), "{spy.user writer}",
		"{spy.claim x-writer}")
}
