package plugin_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

const shopClass = "org.example.ShopSourceConnector"

// shopSettings returns the settings of the plugin shop, each specified as `name role`, with ! after the name of a
// password.
func shopSettings(lines ...string) (settings []wit.ConfigKey) {
	for _, line := range lines {
		name, role, _ := strings.Cut(line, " ")
		key := wit.ConfigKey{Name: strings.TrimSuffix(name, "!")}
		if key.Name != name {
			key.Kind = wit.KindPassword
		}
		for r := range strings.FieldsSeq(role) {
			if alias, ok := strings.CutPrefix(r, "alias="); ok {
				key.Rules = append(key.Rules, wit.Rule{Alias: &alias})
			} else {
				key.Rules = append(key.Rules, wit.Rule{Role: &r})
			}
		}
		settings = append(settings, key)
	}
	return settings
}

func shop(name, version string, settings ...string) []byte {
	return guesttest.Static(wit.Description{Name: name, Version: version,
		Components: []wit.Component{{Name: shopClass, Kind: wit.ComponentSource,
			Aliases: []string{"Shop"}, Settings: shopSettings(settings...)}}}, "", wit.InterfaceSource)
}

var honest = []string{"shop.address http.address", "shop.pwd! http.password", "shop.note"}

func hash(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// selectedVersion returns the version that a new connector gets, or the error.
func selectedVersion(m *plugin.Manager) string {
	info, err := m.Find(wit.ComponentSource, shopClass, "")
	if err != nil {
		return err.Error()
	}
	return info.Name + " " + info.Version
}

var changedRoleCases = map[string]struct {
	settings []string
	moved    string // part of the error; "" means that the version is accepted
	warned   string // part of the warning; "" means no warning
}{
	"the same":                {settings: honest},
	"one more without a role": {settings: append(honest, "shop.more")},
	"one more password":       {settings: append(honest, "shop.more!")},
	"another address": {
		settings: []string{"shop.address", "shop.pwd! http.password", "shop.note http.address"},
		moved: "version 2.0.0 of plugin shop gives the role http.address to the setting shop.note " +
			"(before: shop.address)",
	},
	"a new setting for the address": {
		settings: []string{"shop.address", "shop.pwd! http.password", "shop.to http.address"},
		moved:    "the role http.address to the setting shop.to (before: shop.address)",
	},
	"the address by another name": {
		settings: []string{"shop.to http.address alias=shop.address", "shop.pwd! http.password"},
		warned:   "shop.to: no role before, http.address now",
	},
	"the address by the name of another": {
		settings: []string{"shop.address http.address alias=shop.note", "shop.pwd! http.password"},
		moved:    "the role http.address to the setting shop.address (before: shop.address)",
	},
	"a password as a header": {
		settings: []string{"shop.address http.address", "shop.pwd! http.header.x", "shop.note"},
		warned:   "shop.pwd: http.password before, http.header.x now",
	},
	"a password as text": {
		settings: []string{"shop.address http.address", "shop.pwd", "shop.note"},
		warned:   "shop.pwd: http.password before, no role now; shop.pwd: a password before, none now",
	},
	"a proxy": {
		settings: append(honest, "shop.proxy http.proxy.address"),
		warned:   "shop.proxy: no role before, http.proxy.address now",
	},
	"a proxy in a setting that there was": {
		settings: []string{"shop.address http.address", "shop.pwd! http.password",
			"shop.note http.proxy.address"},
		moved: "the role http.proxy.address to the setting shop.note (before: to none)",
	},
	"an alias for the password": {
		settings: append(honest, "shop.key! http.header.x alias=shop.pwd"),
		warned: "shop.key: no role before, http.header.x now; shop.pwd: http.password before, " +
			"http.header.x+http.password now",
	},
}

// A version from a folder that moves the role of an address, compared with the built-in plugin or any version that ran,
// is rejected; other changed roles cause a warning.
func TestVersionsWithChangedRoles(t *testing.T) {
	for name, c := range changedRoleCases {
		for _, base := range []string{"built in", "of the folder"} {
			t.Run(name+", "+base, func(t *testing.T) {
				folder := t.TempDir()
				log := &logtest.Journal{}
				options := plugin.Options{History: filepath.Join(t.TempDir(), "history.json"),
					Logger: log.Logger(slog.LevelWarn)}
				if base == "built in" {
					options.Embedded = fstest.MapFS{"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}
				} else {
					put(t, folder, "shop.wasm", shop("shop", "1.0.0", honest...))
				}
				m := manager(t, options, folder)
				binding, err := m.BindPlugin("c", "shop", "") // it runs now
				require.NoError(t, err)
				other := shop("shop", "2.0.0", c.settings...)
				if base == "built in" {
					put(t, folder, "other.wasm", other)
				} else { // replaced while no manager runs
					m.Close()
					put(t, folder, "shop.wasm", other)
					m = manager(t, options, folder)
				}
				require.NoError(t, m.Reload(t.Context()))
				switch got := selectedVersion(m); {
				case c.moved == "":
					assert.Equal(t, "shop 2.0.0", got)
				case base == "built in":
					assert.Equal(t, "shop 1.0.0", got)
					status := binding.Status()
					assert.True(t, strings.Contains(status.FileError, c.moved) && binding.Candidate() == nil,
						"expected a status with the rejected version, found %+v", status)
				default:
					assert.Contains(t, got, c.moved)
				}
				const warning = "gives other roles to settings than the previous version"
				lines := log.String()
				assert.True(t, strings.Contains(lines, warning) == (c.warned != "") &&
					strings.Contains(lines, c.warned), "expected a warning %q, found %s", c.warned, lines)
			})
		}
	}
}

// A role that moved over two versions is rejected, too.
func TestAddressRoleMovedOverTwoVersions(t *testing.T) {
	folder := t.TempDir()
	options := plugin.Options{History: filepath.Join(t.TempDir(), "history.json")}
	for version, settings := range [][]string{honest, {"shop.address", "shop.pwd! http.password"}} {
		put(t, folder, "shop.wasm", shop("shop", fmt.Sprint(version, ".0.0"), settings...))
		m := manager(t, options, folder)
		binding, err := m.BindPlugin("c", "shop", "")
		require.NoError(t, err)
		binding.Close()
		m.Close()
	}
	put(t, folder, "shop.wasm", shop("shop", "3.0.0", "shop.address", "shop.to http.address"))
	assert.Contains(t, selectedVersion(manager(t, options, folder)),
		"the role http.address to the setting shop.to (before: shop.address)")
}

// New versions in a folder are compared with each other: the older one decides which setting has the address.
func TestNewVersionsAreComparedWithEachOther(t *testing.T) {
	moving := []string{"shop.url", "shop.pwd! http.password", "shop.callback http.address"}
	first := shop("shop", "1.0.0", "shop.url http.address", "shop.pwd! http.password", "shop.callback")
	for name, c := range map[string]struct {
		file    string // the file that moves the address
		version string // its version
		reload  bool   // it is added while the manager runs
		want    string
	}{
		"at a start":               {file: "shop-2.wasm", version: "2.0.0", want: "shop 1.0.0"},
		"whatever the files' name": {file: "a.wasm", version: "2.0.0", want: "shop 1.0.0"},
		"the same version":         {file: "shop-2.wasm", version: "1.0.0", want: "shop 1.0.0"},
		"a later file":             {file: "shop-2.wasm", version: "10.0.0", reload: true, want: "shop 1.0.0"},
		"in place of the first":    {file: "shop-1.wasm", version: "2.0.0", reload: true, want: "shop 2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := folderWith(t, "shop-1.wasm", first)
			second := shop("shop", c.version, moving...)
			if !c.reload {
				put(t, folder, c.file, second)
			}
			m := manager(t, plugin.Options{}, folder)
			if c.reload {
				put(t, folder, c.file, second)
				require.NoError(t, m.Reload(t.Context()))
			}
			assert.Equal(t, c.want, selectedVersion(m))
			info, err := m.Find(wit.ComponentSource, shopClass, "")
			require.NoError(t, err)
			if c.want == "shop 1.0.0" {
				assert.Equal(t, hash(first), info.Hash)
			}
			rejected := slices.ContainsFunc(m.Modules(), func(i plugin.Info) bool {
				return i.Err != nil &&
					strings.Contains(i.Err.Error(), "to the setting shop.callback (before: shop.url)")
			})
			assert.Equal(t, c.want == "shop 1.0.0", rejected, "the other version is rejected")
		})
	}
}

// Warnings compare with the version that ran last, also after a rollback.
func TestWarningsCompareWithLastActiveVersion(t *testing.T) {
	folder := t.TempDir()
	log := &logtest.Journal{}
	m := manager(t, plugin.Options{History: filepath.Join(t.TempDir(), "history.json"),
		Logger: log.Logger(slog.LevelWarn)}, folder)
	for _, version := range []string{"1.0.0", "2.0.0", "1.0.0"} {
		put(t, folder, "shop.wasm", shop("shop", version, honest...))
		require.NoError(t, m.Reload(t.Context()))
		binding, err := m.BindPlugin("c", "shop", "")
		require.NoError(t, err)
		binding.Close()
	}
	put(t, folder, "shop.wasm", shop("shop", "3.0.0", "shop.address http.address", "shop.pwd"))
	require.NoError(t, m.Reload(t.Context()))
	assert.Contains(t, log.String(), "gives other roles", "before=1.0.0")
}

// Settings that were passwords in a version that ran are known after a restart, for plugins of folders and for built-in
// plugins. Versions that never ran do not count.
func TestPasswordsOfEarlierVersions(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(t.TempDir(), "plugins.adopted.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"Plugins":{"till":{"All":{"Roles":{"source x":
		{"till.pwd":"http.password"}},"Secrets":{"source x":["till.pwd"]}}}}}`), 0o600))
	options := plugin.Options{History: path}
	put(t, folder, "shop.wasm", shop("shop", "1.0.0", honest...))
	put(t, folder, "idle.wasm", shop("shop", "0.9.0", "shop.address http.address", "shop.note!"))
	m := manager(t, options, folder)
	assert.Equal(t, []string{"shop.note", "shop.pwd", "till.pwd"}, secretNames(m), "while all versions are loaded")
	binding, err := m.BindPlugin("c", "shop", "")
	require.NoError(t, err)
	binding.Close()
	m.Close()
	require.NoError(t, os.Remove(filepath.Join(folder, "idle.wasm")))
	put(t, folder, "shop.wasm", shop("shop", "2.0.0", "shop.address http.address", "shop.pwd"))
	m = manager(t, options, folder)
	assert.Equal(t, "shop 2.0.0", selectedVersion(m))
	assert.Equal(t, []string{"shop.pwd", "till.pwd"}, secretNames(m))
}

// A record in a format that this version does not know is an error: the manager does not start.
func TestRecordOfVersionsInUnknownFormat(t *testing.T) {
	for _, content := range []string{
		`{"Plugins":{"till":{"Accepted":{"00":{"Secrets":{"source x":["till.pwd"]}}}}}}`,
		`{"Version":2}`,
		`[]`,
	} {
		path := filepath.Join(t.TempDir(), "plugins.adopted.json")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), History: path})
		assert.Error(t, err, path+", the record of plugin versions that ran: json: ", content)
	}
}

// secretNames returns the settings that count as secrets for a plugin of a folder.
func secretNames(m *plugin.Manager) (names []string) {
	const builtInOnly = false
	for _, key := range m.SecretNames(builtInOnly).Keys() {
		if key.Kind == wit.KindPassword {
			names = append(names, key.Name)
		}
	}
	slices.Sort(names)
	return names
}

// The class, aliases and short forms of a built-in plugin never select another plugin of a folder.
func TestBuiltInClassIsReserved(t *testing.T) {
	folder := t.TempDir()
	embedded := fstest.MapFS{"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}
	thief := shop("a-thief", "9.0.0", "shop.note http.address", "shop.pwd")
	put(t, folder, "thief.wasm", thief)
	alias := guesttest.Static(wit.Description{Name: "an-alias", Version: "9.0.0",
		Components: []wit.Component{{Name: "x.Y", Kind: wit.ComponentSource,
			Aliases: []string{shopClass, "Shop"}}}}, "", wit.InterfaceSource)
	put(t, folder, "alias.wasm", alias)
	m := manager(t, plugin.Options{Embedded: embedded}, folder)
	assert.Equal(t, "shop 1.0.0", selectedVersion(m), "the built-in")
	binding := boundTo(t, m, "c", wit.ComponentSource, shopClass)
	status := binding.Status()
	assert.True(t, len(status.Others) == 2 && strings.Contains(status.Others[0], "a-thief") &&
		strings.HasPrefix(status.File, "embedded:"), "found %+v", status)
}

// A file replaces the built-in transforms, which see the records of all connectors, only with plugin.NAME.replace=true.
// A built-in connector is replaced by a newer file of its plugin.
func TestBuiltInTransformsAreReplacedIfAllowed(t *testing.T) {
	transforms := func(version string) []byte {
		return guesttest.Static(wit.Description{Name: "smt", Version: version, Components: []wit.Component{
			{Name: "org.example.Cast", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform)
	}
	embedded := fstest.MapFS{"smt.wasm": {Data: transforms("1.0.0")},
		"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}
	const refusal = "plugin smt is built in, and its transforms see the records of all connectors: give the plugin " +
		"another name, or set plugin.smt.replace=true"
	for name, c := range map[string]struct {
		settings map[string]string
		version  string
		want     string
	}{
		"newer":         {version: "2.0.0", want: "1.0.0"},
		"older":         {version: "0.9.0", want: "1.0.0"},
		"the same":      {version: "1.0.0", want: "1.0.0"},
		"forbidden":     {settings: map[string]string{"plugin.smt.replace": "false"}, version: "2.0.0", want: "1.0.0"},
		"other allowed": {settings: map[string]string{"plugin.shop.replace": "true"}, version: "2.0.0", want: "1.0.0"},
		"allowed":       {settings: map[string]string{"plugin.smt.replace": "true"}, version: "2.0.0", want: "2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			log := &logtest.Journal{}
			put(t, folder, "mine.wasm", transforms(c.version))
			put(t, folder, "shop.wasm", shop("shop", "2.0.0", honest...))
			m := manager(t, plugin.Options{Embedded: embedded, Settings: c.settings,
				Logger: log.Logger(slog.LevelError)}, folder)
			assert.Equal(t, "shop 2.0.0", selectedVersion(m))
			cast, err := m.Find(wit.ComponentTransformation, "org.example.Cast", "")
			require.NoError(t, err)
			assert.Equal(t, c.want, cast.Version)
			isRefused := strings.Contains(log.String(), filepath.Join(folder, "mine.wasm")+": "+refusal)
			assert.Equal(t, c.want == "1.0.0", isRefused, log.String())
			assert.Equal(t, c.want == "1.0.0", cast.BuiltIn)
		})
	}
	_, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(),
		Settings: map[string]string{"plugin.smt.replace": "maybe"}})
	assert.Error(t, err, "Invalid value maybe for configuration plugin.smt.replace: ")
}

// A damaged history of versions prevents the start, because any version would be accepted as the first.
func TestDamagedVersionHistory(t *testing.T) {
	history := filepath.Join(t.TempDir(), "history.json")
	require.NoError(t, os.WriteFile(history, []byte("{"), 0o600))
	_, err := plugin.New(t.Context(), plugin.Options{History: history, Registry: record.NewRegistry()})
	assert.Error(t, err, history)
}

// A file that replaces a built-in plugin, or that others can replace, causes a warning.
func TestReplaceableFilesCauseWarning(t *testing.T) {
	const (
		replaces = "replaces a built-in plugin"
		others   = "from a file that other users can replace"
	)
	for name, c := range map[string]struct {
		plugin  string
		version string
		folder  os.FileMode
		file    os.FileMode
		want    []string // the warnings
	}{
		"a newer one": {
			plugin:  "shop",
			version: "2.0.0",
			folder:  0o755,
			file:    0o644,
			want:    []string{replaces},
		},
		"an older one":          {plugin: "shop", version: "0.9.0", folder: 0o755, file: 0o644},
		"another one":           {plugin: "till", version: "2.0.0", folder: 0o755, file: 0o644},
		"a folder of a group":   {plugin: "till", version: "2.0.0", folder: 0o775, file: 0o644, want: []string{others}},
		"a folder of everybody": {plugin: "till", version: "2.0.0", folder: 0o757, file: 0o644, want: []string{others}},
		"a file of a group":     {plugin: "till", version: "2.0.0", folder: 0o755, file: 0o664, want: []string{others}},
		"a file of everybody": {
			plugin:  "shop",
			version: "2.0.0",
			folder:  0o755,
			file:    0o646,
			want:    []string{replaces, others},
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			log := &logtest.Journal{}
			data := shop(c.plugin, c.version, honest...)
			path := filepath.Join(folder, "new.wasm")
			put(t, folder, "new.wasm", data)
			require.NoError(t, os.Chmod(path, c.file))
			require.NoError(t, os.Chmod(folder, c.folder))
			manager(t, plugin.Options{Logger: log.Logger(slog.LevelWarn), Embedded: fstest.MapFS{"shop.wasm": {
				Data: shop("shop", "1.0.0", honest...)}}}, folder)
			for _, text := range []string{replaces, others} {
				isWarned := slices.ContainsFunc(strings.Split(log.String(), "\n"), func(line string) bool {
					return strings.Contains(line, "level=WARN") && strings.Contains(line, text) &&
						strings.Contains(line, "file="+path) && strings.Contains(line, "hash="+hash(data))
				})
				assert.Equal(t, slices.Contains(c.want, text), isWarned, text)
			}
		})
	}
}
