package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/host/internal/base/wholefile"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Whoever gives a role to a setting decides what the host does with the user's value: a version that calls the password
// a header, or another setting the address, has the user's credentials sent elsewhere. So a version from a folder takes
// over by itself only where its roles are those of the version before; others wait for `plugin.NAME.accept`.

// trust is what the user lets plugins of folders do, by their names.
type trust struct {
	// accept holds hashes of files, reveal names of settings. A plugin whose accept is given is there also with none.
	accept, reveal map[string][]string
	// operators holds what [Manager.Accept] was called with, NAME HASH: it counts for plugins that are not in accept.
	operators sync.Map
}

const (
	acceptEnd = ".accept"
	revealEnd = ".reveal"
)

// isTrustSetting reports whether a setting of the worker is `plugin.NAME.accept` or `plugin.NAME.reveal`.
func isTrustSetting(key string) bool {
	rest, ok := strings.CutPrefix(key, "plugin.")
	return ok && len(rest) > len(acceptEnd) && (strings.HasSuffix(rest, acceptEnd) ||
		strings.HasSuffix(rest, revealEnd))
}

func trustOf(settings map[string]string) (*trust, error) {
	t := &trust{accept: map[string][]string{}, reveal: map[string][]string{}}
	for key, value := range settings {
		if !isTrustSetting(key) {
			continue
		}
		name := strings.TrimPrefix(key, "plugin.")
		if before, accept := strings.CutSuffix(name, acceptEnd); accept {
			t.accept[before] = []string{}
		}
		for item := range strings.SplitSeq(value, ",") {
			item = strings.TrimSpace(item)
			switch before, accept := strings.CutSuffix(name, acceptEnd); {
			case item == "":
			case !accept:
				before = strings.TrimSuffix(name, revealEnd)
				t.reveal[before] = append(t.reveal[before], item)
			case len(item) != len(code.HashOf(nil)) || strings.Trim(strings.ToLower(item), "0123456789abcdef") != "":
				return t, fmt.Errorf("%s: expected the SHA-256 of a plugin's file in 64 hexadecimal digits, found %q",
					key, item)
			default:
				t.accept[before] = append(t.accept[before], strings.ToLower(item))
			}
		}
	}
	return t, nil
}

func (t *trust) accepts(name, hash string) bool {
	if given, ok := t.accept[name]; ok {
		return slices.Contains(given, hash)
	}
	_, ok := t.operators.Load(name + " " + hash)
	return ok
}

// ErrNotAcceptable is the error of a version that [Manager.Accept] cannot take.
var ErrNotAcceptable = errors.New("it cannot be accepted here")

// Accept takes a version of a plugin, by the hash of its file, as `plugin.NAME.accept` of [Options.Settings] does: from
// now on, and after a restart where [Options.Adopted] names a file, until that setting is given, which counts instead.
// Tasks judge the version at the end of a page or batch. Errors are or wrap [ErrUnknownVersion], [ErrNotAcceptable].
func (m *Manager) Accept(ctx context.Context, name, hash string) error {
	if _, given := m.trust.accept[name]; given {
		return fmt.Errorf("%w: plugin.%s.accept of the worker's settings says what is", ErrNotAcceptable, name)
	}
	if err := m.acceptable(name, hash); err != nil {
		return err
	}
	a := m.adoptions
	a.mu.Lock()
	a.join()
	of := a.of(name)
	before := of.Operators
	if !slices.Contains(before, hash) {
		of.Operators = append(slices.Clone(before), hash)
	}
	err := a.keep()
	if err != nil {
		of.Operators = before
	}
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("what is accepted can't be kept: %w", err)
	}
	m.trust.operators.Store(name+" "+hash, nil)
	m.folders.scanning.Lock() // a scan that has begun may have refused it
	m.mu.Lock()
	for _, o := range m.origins {
		if o.refused != nil && o.refused.Hash == hash {
			o.hash = "" // its file is read again
		}
	}
	m.changes.Add(1)
	m.mu.Unlock()
	m.folders.scanning.Unlock()
	return m.scan(ctx, nil, nil)
}

// acceptable is nil for a version that is there, unless something else than the user's word keeps it from being taken.
func (m *Manager) acceptable(name, hash string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	unknown := fmt.Errorf("%w %s with the hash %q", ErrUnknownVersion, name, hash)
	for _, o := range m.origins {
		is := func(i *Info) bool { return i.Name == name && i.Hash == hash }
		r := o.refused
		switch {
		case o.active != nil && is(&o.active.info), o.previous != nil && is(&o.previous.info):
			return nil
		case r == nil || r.Hash != hash || r.Name != "" && r.Name != name:
		case isA[*Held](r.Err):
			return nil
		default:
			unknown = fmt.Errorf("%w: %w", ErrNotAcceptable, r.Err)
		}
	}
	return unknown
}

// declared is what a version of a plugin declares of settings that matter to the host: by what a component answers to,
// as `source org.example.Shop`, the settings, aliases included.
type declared struct {
	Version, Hash string
	// Roles of the settings, several joined by +; Secrets are the passwords among them.
	Roles   map[string]map[string]string
	Secrets map[string][]string
}

// Answers are the names by which a connector may ask for a component: its own, its aliases, and Kafka Connect's short
// forms, without the package and without Connector at the end.
func Answers(c *wit.Component) []string {
	simple := c.Name[strings.LastIndexByte(c.Name, '.')+1:]
	names := append([]string{c.Name}, c.Aliases...)
	for _, short := range []string{simple, strings.TrimSuffix(simple, "Connector")} {
		if !slices.Contains(names, short) {
			names = append(names, short)
		}
	}
	return names
}

func declaredBy(info *Info) declared {
	d := declared{info.Version, info.Hash, map[string]map[string]string{}, map[string][]string{}}
	for i := range info.Components {
		c := &info.Components[i]
		for _, name := range Answers(c) {
			key := c.Kind.String() + " " + name
			if d.Roles[key] == nil {
				d.Roles[key] = map[string]string{}
			}
			for _, s := range c.Settings {
				d.setting(key, &s)
			}
			slices.Sort(d.Secrets[key])
			d.Secrets[key] = slices.Compact(d.Secrets[key])
		}
	}
	return d
}

func (d *declared) setting(key string, s *wit.SettingSpec) {
	names, roles := []string{s.Name}, []string{}
	secret := s.Kind == wit.KindPassword
	for _, r := range s.Rules {
		switch {
		case r.Alias != nil:
			names = append(names, *r.Alias)
		case r.Role != nil:
			roles = append(roles, *r.Role)
			secret = secret || role.IsSecret(*r.Role)
		}
	}
	for _, name := range names {
		if len(roles) > 0 {
			all := roles
			if before := d.Roles[key][name]; before != "" {
				all = append(strings.Split(before, "+"), roles...)
			}
			slices.Sort(all)
			d.Roles[key][name] = strings.Join(slices.Compact(all), "+")
		}
		if secret {
			d.Secrets[key] = append(d.Secrets[key], name)
		}
	}
}

// differences say what a version does in another way than the one before: a setting of a known component that has
// another role, or that is a password no more. A component that was not there before may give settings the roles that
// they had in others.
func (d *declared) differences(before *declared) []string {
	var texts []string
	say := func(setting, was, is string) {
		text := fmt.Sprintf("%s: %s before, %s now", setting, cmp.Or(was, "no role"), cmp.Or(is, "no role"))
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	known := map[string]bool{} // setting and role
	for _, roles := range before.Roles {
		for setting, role := range roles {
			known[setting+" "+role] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.Roles)) {
		was, is := before.Roles[key], d.Roles[key]
		if was == nil {
			for _, setting := range slices.Sorted(maps.Keys(is)) {
				if !known[setting+" "+is[setting]] {
					say(setting, "", is[setting])
				}
			}
			continue
		}
		both := maps.Clone(was)
		maps.Copy(both, is)
		for _, setting := range slices.Sorted(maps.Keys(both)) {
			if was[setting] != is[setting] {
				say(setting, was[setting], is[setting])
			}
		}
		for _, setting := range before.Secrets[key] {
			if !slices.Contains(d.Secrets[key], setting) {
				say(setting, "a password", "none")
			}
		}
	}
	return texts
}

// Held is why a version from a folder is not taken although nothing is wrong with its file.
type Held struct {
	Plugin, Version, Hash, Before string
	Differences                   []string
}

// shownDifferences is how many a message names.
const shownDifferences = 10

func (h *Held) Error() string {
	shown := h.Differences[:min(len(h.Differences), shownDifferences)]
	more := ""
	if left := len(h.Differences) - len(shown); left > 0 {
		more = fmt.Sprintf("; and %d more", left)
	}
	return fmt.Sprintf("version %s gives other roles to settings than version %s, so it is not taken by itself "+
		"(%s%s); plugin.%s.accept=%s in the worker's settings takes it",
		h.Version, h.Before, strings.Join(shown, "; "), more, h.Plugin, h.Hash)
}

// adoptions remembers, over restarts, what versions of folders declared that were taken.
type adoptions struct {
	// mu comes before Manager.mu.
	mu      sync.Mutex
	path    string // "" where nothing is kept
	Plugins map[string]*adopted
}

type adopted struct {
	// Base is the first version that was taken; plugins that come with the program have none, since they are the base
	// themselves.
	Base *declared `json:",omitempty"`
	// Accepted are those that the user accepted, by hash: their successors are compared with them too while the setting
	// names them.
	Accepted map[string]*declared `json:",omitempty"`
	// Operators are the hashes that [Manager.Accept] was called with.
	Operators []string `json:",omitempty"`
}

// adoptionsBytes is how large the file of adoptions is at most that is read, in bytes.
const adoptionsBytes = 16 << 20

// readAdoptions reads what was kept. What cannot be read is an error: going on without would let any version be the
// first.
func readAdoptions(path string) (*adoptions, error) {
	a := &adoptions{path: path, Plugins: map[string]*adopted{}}
	if path == "" {
		return a, nil
	}
	text, err := wholefile.Read(path, adoptionsBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(text, a)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which says what versions of plugins were taken before: %w; look at the plugins "+
			"in the folder, then delete it", path, err)
	}
	for name, p := range a.Plugins {
		if p == nil {
			delete(a.Plugins, name)
		}
	}
	return a, nil
}

// join takes in what another process has kept meanwhile.
func (a *adoptions) join() {
	other, err := readAdoptions(a.path)
	if err != nil {
		return // it was sound when this began
	}
	for name, theirs := range other.Plugins {
		ours := a.of(name)
		ours.Base = cmp.Or(ours.Base, theirs.Base)
		ours.Operators = slices.Compact(slices.Sorted(slices.Values(slices.Concat(ours.Operators, theirs.Operators))))
		for hash, d := range theirs.Accepted {
			ours.Accepted[hash] = cmp.Or(ours.Accepted[hash], d)
		}
	}
}

func (a *adoptions) of(name string) *adopted {
	p := a.Plugins[name]
	if p == nil {
		p = &adopted{}
		a.Plugins[name] = p
	}
	if p.Accepted == nil {
		p.Accepted = map[string]*declared{}
	}
	return p
}

// keep writes the file, all of it or nothing.
func (a *adoptions) keep() error {
	if a.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		return err
	}
	return wholefile.ReplaceSynced(a.path, text)
}
