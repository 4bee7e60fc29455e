package plugin_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// A custom section may hold nothing but its name, and stand anywhere, at the end of the module too
// (WebAssembly core specification, 5.5.3).
func TestEmptyCustomSections(t *testing.T) {
	static := guesttest.Static(wit.Description{Name: "small", Version: "1"}, "")
	for _, name := range []string{"", "x", "producers", "name", "component-type", ".debug_info"} {
		section := append([]byte{0, byte(1 + len(name)), byte(len(name))}, name...)
		for place, module := range map[string][]byte{
			"first": append(append(append([]byte{}, static[:8]...), section...), static[8:]...),
			"last":  append(append([]byte{}, static...), section...),
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				folder := holding(t, "small.wasm", module)
				m := manager(t, plugin.Options{}, folder)
				if info := m.Modules()[0]; info.Err != nil || info.Name != "small" {
					t.Errorf("expected that it is loaded, found %v", info.Err)
				}
			})
		}
	}
}

// Limits are set by the name that a plugin gives itself. One that breaks a limit before it has said its name has a
// message with that form, since a setting with the file's name has no effect.
func TestLimitsBeforeTheName(t *testing.T) {
	m := guesttest.StaticModule(wit.Description{Name: "slow", Version: "1"}, "")
	m.Exports[m.Index(describeExport)].Body = looped()
	folder := holding(t, "file.wasm", m.Bytes())
	info := manager(t, plugin.Options{Limits: plugin.Limits{CallMs: 50}}, folder).Modules()[0]
	if info.Err == nil || !strings.Contains(info.Err.Error(), "plugin.NAME.limits.call.ms") ||
		strings.Contains(info.Err.Error(), "wasm.limits") {
		t.Errorf("expected plugin.NAME.limits.call.ms, found %v", info.Err)
	}
}
