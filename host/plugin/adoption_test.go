package plugin_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/logtest"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

const shopClass = "org.example.ShopSourceConnector"

// shopSettings are what the plugin shop declares; each is `name role`, with ! after the name of a password.
func shopSettings(lines ...string) (settings []wit.SettingSpec) {
	for _, line := range lines {
		name, role, _ := strings.Cut(line, " ")
		s := wit.SettingSpec{Name: strings.TrimSuffix(name, "!")}
		if s.Name != name {
			s.Kind = wit.KindPassword
		}
		for r := range strings.FieldsSeq(role) {
			if alias, ok := strings.CutPrefix(r, "alias="); ok {
				s.Rules = append(s.Rules, wit.Rule{Alias: &alias})
			} else {
				s.Rules = append(s.Rules, wit.Rule{Role: &r})
			}
		}
		settings = append(settings, s)
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

// taken is the version that a new connector gets, or why it gets none.
func taken(m *plugin.Manager) string {
	info, err := m.Find(wit.ComponentSource, shopClass, "")
	if err != nil {
		return err.Error()
	}
	return info.Name + " " + info.Version
}

// What differs from the plugin that comes with the program, or from the version before, is not taken from a folder
// without the user's word; everything else is.
func TestVersionsWithOtherRoles(t *testing.T) {
	for name, x := range map[string]struct {
		settings []string
		differs  string // "" where it is taken
	}{
		"the same":                {honest, ""},
		"one more without a role": {append(honest, "shop.more"), ""},
		"one more password":       {append(honest, "shop.more!"), ""},
		"another address": {[]string{"shop.address", "shop.pwd! http.password", "shop.note http.address"},
			"shop.address: http.address before, no role now; shop.note: no role before, http.address now"},
		"a password as a header": {[]string{"shop.address http.address", "shop.pwd! http.header.x", "shop.note"},
			"shop.pwd: http.password before, http.header.x now"},
		"a password as text": {[]string{"shop.address http.address", "shop.pwd", "shop.note"},
			"shop.pwd: http.password before, no role now; shop.pwd: a password before, none now"},
		"a proxy": {append(honest, "shop.proxy http.proxy.address"),
			"shop.proxy: no role before, http.proxy.address now"},
		"an alias for the password": {append(honest, "shop.key! http.header.x alias=shop.pwd"),
			"shop.key: no role before, http.header.x now; shop.pwd: http.password before, " +
				"http.header.x+http.password now"},
		"a template for the password": {append(honest, "shop.{name}! http.header.{name}"),
			"shop.{name}: no role before, http.header.{name} now"},
	} {
		for _, base := range []string{"built in", "of the folder"} {
			t.Run(name+", "+base, func(t *testing.T) {
				folder, adopted := t.TempDir(), filepath.Join(t.TempDir(), "adopted.json")
				o := plugin.Options{Adopted: adopted}
				if base == "built in" {
					o.Embedded = fstest.MapFS{"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}
				} else {
					put(t, folder, "shop.wasm", shop("shop", "1.0.0", honest...))
				}
				m := manager(t, o, folder)
				other := shop("shop", "2.0.0", x.settings...)
				if base == "built in" {
					put(t, folder, "other.wasm", other)
				} else { // in its place, while nobody runs
					m.Close()
					put(t, folder, "shop.wasm", other)
					m = manager(t, o, folder)
				}
				require.NoError(t, m.Reload(t.Context()))
				got := taken(m)
				switch {
				case x.differs == "" && got != "shop 2.0.0":
					t.Errorf("expected it to be taken, found %s", got)
				case x.differs != "" && base == "built in" && got != "shop 1.0.0", x.differs != "" &&
					base != "built in" &&
					!strings.Contains(got, x.differs):
					t.Errorf("expected it not to be taken, found %s", got)
				}
				if x.differs == "" {
					return
				}
				b, err := m.BindPlugin("c", "shop", "")
				if base == "built in" {
					require.NoError(t, err)
					if s := b.Status(); len(s.Held) != 1 || !strings.Contains(s.Held[0], x.differs) ||
						!strings.Contains(s.Held[0], "plugin.shop.accept="+hash(other)) || b.Candidate() != nil {
						t.Errorf("expected the status to say what differs, found %+v", s)
					}
				}
				// Asked for by its version it is not taken either.
				if _, err := m.Find(wit.ComponentSource, shopClass, "2.0.0"); err == nil {
					t.Error("expected an error for the version")
				}
				m.Close()
				// Accepted it is taken, and so is its successor, as long as the word stands.
				o.Settings = map[string]string{"plugin.shop.accept": strings.ToUpper(hash(other))}
				m = manager(t, o, folder)
				assert.Equal(t, "shop 2.0.0", taken(m), "the accepted one")
				m.Close()
				put(t, folder, "third.wasm", shop("shop", "3.0.0", x.settings...))
				m = manager(t, o, folder)
				assert.Equal(t, "shop 3.0.0", taken(m), "the successor")
				m.Close()
				o.Settings = nil
				if got := taken(manager(t, o, folder)); got == "shop 2.0.0" || got == "shop 3.0.0" {
					t.Errorf("expected neither without the word, found %s", got)
				}
			})
		}
	}
}

// Without any memory the lowest version in the folder is the one before the others.
func TestVersionsThatAreNewTogether(t *testing.T) {
	folder := holding(t, "a.wasm", shop("shop", "2.0.0", "shop.note http.address", "shop.pwd"))
	put(t, folder, "b.wasm", shop("shop", "1.9.0", honest...))
	put(t, folder, "c.wasm", shop("shop", "1.10.0", honest...))
	assert.Equal(t, "shop 1.10.0", taken(manager(t, plugin.Options{}, folder)))
}

// What a class of a built-in plugin is called by, whole, by alias or by short form, leads to no plugin of another name
// in a folder.
func TestClassOfABuiltInPlugin(t *testing.T) {
	folder := t.TempDir()
	embedded := fstest.MapFS{"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}
	thief := shop("a-thief", "9.0.0", "shop.note http.address", "shop.pwd")
	put(t, folder, "thief.wasm", thief)
	alias := guesttest.Static(wit.Description{Name: "an-alias", Version: "9.0.0",
		Components: []wit.Component{{Name: "x.Y", Kind: wit.ComponentSource,
			Aliases: []string{shopClass, "Shop"}}}}, "", wit.InterfaceSource)
	put(t, folder, "alias.wasm", alias)
	m := manager(t, plugin.Options{Embedded: embedded}, folder)
	assert.Equal(t, "shop 1.0.0", taken(m), "the built-in")
	b := boundTo(t, m, "c", wit.ComponentSource, shopClass)
	if s := b.Status(); len(s.Others) != 2 || !strings.Contains(s.Others[0], "a-thief") ||
		!strings.Contains(s.Others[0], "plugin.a-thief.accept="+hash(thief)) ||
		!strings.HasPrefix(s.File, "embedded:") {
		t.Errorf("found %+v", s)
	}
	m.Close()
	m = manager(t, plugin.Options{Embedded: embedded,
		Settings: map[string]string{"plugin.a-thief.accept": hash(thief)}}, folder)
	assert.Equal(t, "a-thief 9.0.0", taken(m), "the accepted one")
}

// What says which versions were taken is damaged: nothing is opened, since any version would be the first.
func TestDamagedMemoryOfVersions(t *testing.T) {
	adopted := filepath.Join(t.TempDir(), "adopted.json")
	require.NoError(t, os.WriteFile(adopted, []byte("{"), 0o600))
	registry := record.NewRegistry()
	_, err := plugin.New(t.Context(), plugin.Options{Adopted: adopted, Registry: registry})
	assert.Error(t, err, adopted)
	const key = "plugin.shop.accept"
	_, err = plugin.New(t.Context(), plugin.Options{Settings: map[string]string{key: "beef"}, Registry: registry})
	assert.Error(t, err, key)
}

// A version that waits for the user's word is taken when it is accepted while the manager lives, by what runs too, and
// after a restart; not where the settings name accept for the plugin.
func TestAccept(t *testing.T) {
	folder, adopted := t.TempDir(), filepath.Join(t.TempDir(), "adopted.json")
	o := plugin.Options{Adopted: adopted, Embedded: fstest.MapFS{"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}}
	other := shop("shop", "2.0.0", append(honest, "shop.proxy http.proxy.address")...)
	put(t, folder, "other.wasm", other)
	put(t, folder, "broken.wasm", []byte("\x00asm, but none"))
	m := manager(t, o, folder)
	b, err := m.BindPlugin("c", "shop", "")
	require.NoError(t, err)
	waits := func(m *plugin.Manager) string {
		for _, info := range m.Modules() {
			if info.Hash == hash(other) {
				return info.Waits
			}
		}
		return "unknown"
	}
	assert.Equal(t, "shop 1.0.0", taken(m))
	assert.Equal(t, "it waits for acceptance", waits(m))
	for text, c := range map[string]struct {
		name, hash string
		want       error
	}{
		"no such hash":      {"shop", "00", plugin.ErrUnknownVersion},
		"of another plugin": {"till", hash(other), plugin.ErrUnknownVersion},
		"not a module":      {"shop", hash([]byte("\x00asm, but none")), plugin.ErrNotAcceptable},
	} {
		if err := m.Accept(t.Context(), c.name, c.hash); !errors.Is(err, c.want) {
			t.Errorf("%s: expected %v, found %v", text, c.want, err)
		}
	}
	assert.Equal(t, "shop 1.0.0", taken(m))
	require.NoError(t, m.Accept(t.Context(), "shop", hash(other)))
	assert.Equal(t, "shop 2.0.0", taken(m))
	candidate := b.Candidate()
	if candidate == nil {
		t.Fatal("expected it to be what the connector takes next")
	}
	b.Reject(candidate, "other feeds")
	assert.Equal(t, "it does not fit at 1 of 1 tasks: other feeds", waits(m))
	require.NoError(t, m.Accept(t.Context(), "shop", hash(other)))
	b.Close()
	m.Close()
	m = manager(t, o, folder)
	assert.Equal(t, "shop 2.0.0", taken(m), "after a restart")
	m.Close()
	put(t, folder, "third.wasm", shop("shop", "3.0.0", append(honest, "shop.proxy http.proxy.address")...))
	m = manager(t, o, folder)
	assert.Equal(t, "shop 3.0.0", taken(m), "the successor")
	m.Close()
	for _, given := range []string{"", strings.Repeat("0", 64)} {
		o.Settings = map[string]string{"plugin.shop.accept": given}
		m = manager(t, o, folder)
		assert.Equal(t, "shop 1.0.0", taken(m), "the settings count")
		if err := m.Accept(t.Context(), "shop", hash(other)); !errors.Is(err, plugin.ErrNotAcceptable) ||
			!strings.Contains(err.Error(), "plugin.shop.accept") {
			t.Errorf("expected that the settings count, found %v", err)
		}
		m.Close()
	}
}

// What cannot be kept is not accepted.
func TestAcceptIsKept(t *testing.T) {
	folder, adopted := t.TempDir(), filepath.Join(t.TempDir(), "gone", "adopted.json")
	m := manager(t, plugin.Options{Adopted: adopted, Embedded: fstest.MapFS{
		"shop.wasm": {Data: shop("shop", "1.0.0", honest...)}}}, folder)
	other := shop("shop", "2.0.0", "shop.address", "shop.pwd! http.password")
	put(t, folder, "other.wasm", other)
	require.NoError(t, m.Reload(t.Context()))
	if err := m.Accept(t.Context(), "shop", hash(other)); err == nil || !strings.Contains(err.Error(), "kept") {
		t.Errorf("expected an error, found %v", err)
	}
	assert.Equal(t, "shop 1.0.0", taken(m))
}

// Of two plugins that have a class the one that is accepted gets it.
func TestAcceptOfAClass(t *testing.T) {
	folder := t.TempDir()
	first, second := shop("shop", "1.0.0", honest...), shop("till", "1.0.0", honest...)
	put(t, folder, "first.wasm", first)
	put(t, folder, "second.wasm", second)
	m := manager(t, plugin.Options{}, folder)
	assert.Contains(t, taken(m), "expected one plugin that has it")
	require.NoError(t, m.Accept(t.Context(), "till", hash(second)))
	assert.Equal(t, "till 1.0.0", taken(m))
}

// Files run with what the connectors are trusted with: whoever reads warnings alone learns of one that takes the place
// of what came with the program, and of one that others can put another one in the place of.
func TestFilesThatReplaceOrCanBeReplaced(t *testing.T) {
	const replaces, others = "replaces a plugin that is built into the program", "others can put another file"
	for name, x := range map[string]struct {
		plugin, version string
		folder, file    os.FileMode
		want            []string
	}{
		"a newer one":           {"shop", "2.0.0", 0o755, 0o644, []string{replaces}},
		"an older one":          {"shop", "0.9.0", 0o755, 0o644, nil},
		"another one":           {"till", "2.0.0", 0o755, 0o644, nil},
		"a folder of a group":   {"till", "2.0.0", 0o775, 0o644, []string{others}},
		"a folder of everybody": {"till", "2.0.0", 0o757, 0o644, []string{others}},
		"a file of a group":     {"till", "2.0.0", 0o755, 0o664, []string{others}},
		"a file of everybody":   {"shop", "2.0.0", 0o755, 0o646, []string{replaces, others}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, log, data := t.TempDir(), &logtest.Journal{}, shop(x.plugin, x.version, honest...)
			path := filepath.Join(folder, "new.wasm")
			put(t, folder, "new.wasm", data)
			require.NoError(t, os.Chmod(path, x.file))
			require.NoError(t, os.Chmod(folder, x.folder))
			manager(t, plugin.Options{Logger: log.Logger(slog.LevelWarn), Embedded: fstest.MapFS{"shop.wasm": {
				Data: shop("shop", "1.0.0", honest...)}}}, folder)
			for _, text := range []string{replaces, others} {
				found := slices.ContainsFunc(strings.Split(log.String(), "\n"), func(line string) bool {
					return strings.Contains(line, "level=WARN") && strings.Contains(line, text) &&
						strings.Contains(line, "file="+path) && strings.Contains(line, "hash="+hash(data))
				})
				if found != slices.Contains(x.want, text) {
					t.Errorf("%s: expected %v, found %s", text, !found, log)
				}
			}
		})
	}
}
