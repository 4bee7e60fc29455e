package plugin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Roles decide for what the host uses the user's values: a version that gives the role of the address to another
// setting would send credentials elsewhere. So a version from a folder is compared with all versions that ran.

const (
	revealSuffix  = ".reveal"
	replaceSuffix = ".replace"
)

// RevealSetting declares `plugin.NAME.reveal`.
var RevealSetting = setting.Define("reveal", wit.KindList, wit.Low, nil, "Settings of connectors whose values from "+
	"`${file:…}` and `${dir:…}` the plugin of a folder may see. Passwords are never among them.")

// ReplaceSetting declares `plugin.NAME.replace`.
var ReplaceSetting = setting.Define("replace", wit.KindBoolean, wit.Low, setting.Default("false"), "Whether a file "+
	"may replace the built-in plugin of this name, if that has transforms: these see the records of all connectors.")

// trustSetting returns NAME of plugin.NAME.reveal or plugin.NAME.replace, depending on the suffix.
func trustSetting(key, suffix string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(key, "plugin."); ok {
		name, ok = strings.CutSuffix(name, suffix)
	}
	return name, ok && name != ""
}

// parseReveal returns the lists of [RevealSetting] by plugin.
func parseReveal(settings map[string]string) map[string][]string {
	reveal := map[string][]string{}
	for key, value := range settings {
		name, ok := trustSetting(key, revealSuffix)
		if !ok {
			continue
		}
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				reveal[name] = append(reveal[name], item)
			}
		}
	}
	return reveal
}

// parseReplace returns the names of plugins that a file may replace, see [ReplaceSetting].
func parseReplace(settings map[string]string) (map[string]bool, error) {
	replace := map[string]bool{}
	for key, value := range settings {
		name, ok := trustSetting(key, replaceSuffix)
		if !ok {
			continue
		}
		declaration := ReplaceSetting
		declaration.Name = key
		if why := (setting.Check{}).Value(&declaration, value); why != "" {
			return nil, setting.Problem{Setting: key, Code: setting.CodeInvalid, Text: why}
		}
		replace[name], _ = setting.ParseBool(value)
	}
	return replace, nil
}

// checkReplacement returns why a file must not replace a built-in plugin, or nil.
func (m *Manager) checkReplacement(file *candidateFile) error {
	name := file.loaded.info.Name
	if file.builtIn || m.trusted.replace[name] {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	isForAllConnectors := func(component *Component) bool { // connectors of other plugins use it, too
		return component.Kind == wit.ComponentTransformation || component.Kind == wit.ComponentPredicate
	}
	for _, source := range m.sources {
		mod := source.active
		if mod == nil || !mod.info.BuiltIn || mod.info.Name != name {
			continue
		}
		if slices.ContainsFunc(mod.info.Components, isForAllConnectors) {
			return fmt.Errorf("plugin %s is built in, and its transforms see the records of all connectors: give the "+
				"plugin another name, or set plugin.%s%s=true", name, name, replaceSuffix)
		}
	}
	return nil
}

// roleDeclarations holds the roles and secrets that versions of a plugin declare, by component (`source
// org.example.Shop`), under each of its names.
type roleDeclarations struct {
	Version string
	Hash    string
	// Roles by setting or alias, several joined by +. Secrets are password settings.
	Roles   map[string]map[string]string
	Secrets map[string][]string
}

// Names returns a component's name, its aliases, and Kafka Connect's short forms, without the package and without
// Connector at the end.
func Names(component *Component) []string {
	simple := component.Name[strings.LastIndexByte(component.Name, '.')+1:]
	names := append([]string{component.Name}, component.Aliases...)
	for _, short := range []string{simple, strings.TrimSuffix(simple, "Connector")} {
		if !slices.Contains(names, short) {
			names = append(names, short)
		}
	}
	return names
}

func declarationsOf(info *Info) *roleDeclarations {
	declarations := &roleDeclarations{Version: info.Version, Hash: info.Hash}
	for _, component := range info.Components {
		for _, name := range Names(component) {
			for j := range component.Settings {
				names, roles, isSecret := settingOf(&component.Settings[j])
				declarations.add(component.Kind.String()+" "+name, names, roles, isSecret)
			}
		}
	}
	return declarations
}

func settingOf(key *wit.ConfigKey) (names, roles []string, isSecret bool) {
	names = []string{key.Name}
	isSecret = key.Kind == wit.KindPassword
	for _, rule := range key.Rules {
		switch {
		case rule.Alias != nil:
			names = append(names, *rule.Alias)
		case rule.Role != nil:
			roles = append(roles, *rule.Role)
			isSecret = isSecret || role.IsSecret(*rule.Role)
		}
	}
	return names, roles, isSecret
}

func (d *roleDeclarations) add(component string, names, roles []string, isSecret bool) {
	if d.Roles == nil {
		d.Roles = map[string]map[string]string{}
		d.Secrets = map[string][]string{}
	}
	if d.Roles[component] == nil {
		d.Roles[component] = map[string]string{}
	}
	for _, name := range names {
		merged := append(splitRoles(d.Roles[component][name]), roles...)
		slices.Sort(merged)
		d.Roles[component][name] = strings.Join(slices.Compact(merged), "+")
		if isSecret && !slices.Contains(d.Secrets[component], name) {
			d.Secrets[component] = append(d.Secrets[component], name)
		}
	}
}

func splitRoles(joined string) []string {
	return slices.DeleteFunc(strings.Split(joined, "+"), func(r string) bool { return r == "" })
}

// merge adds the declarations of other, which may be nil, and returns d.
func (d *roleDeclarations) merge(other *roleDeclarations) *roleDeclarations {
	if other == nil {
		return d
	}
	for component, roles := range other.Roles {
		for name, joined := range roles {
			d.add(component, []string{name}, splitRoles(joined), slices.Contains(other.Secrets[component], name))
		}
	}
	return d
}

// differences describes the roles and secrets that changed in components that both declare.
func (d *roleDeclarations) differences(previous *roleDeclarations) []string {
	var changes []string
	add := func(name, earlier, current string) {
		change := fmt.Sprintf("%s: %s before, %s now", name, cmp.Or(earlier, "no role"), cmp.Or(current, "no role"))
		if !slices.Contains(changes, change) {
			changes = append(changes, change)
		}
	}
	for _, component := range slices.Sorted(maps.Keys(d.Roles)) {
		earlier := previous.Roles[component]
		current := d.Roles[component]
		if earlier == nil {
			continue
		}
		both := maps.Clone(earlier)
		maps.Copy(both, current)
		for _, name := range slices.Sorted(maps.Keys(both)) {
			if earlier[name] != current[name] {
				add(name, earlier[name], current[name])
			}
		}
		for _, name := range previous.Secrets[component] {
			if !slices.Contains(d.Secrets[component], name) {
				add(name, "a password", "none")
			}
		}
	}
	return changes
}

// RoleMovedError is the error of a version that gives an address role to another setting than versions that ran.
type RoleMovedError struct {
	Plugin  string
	Version string
	Setting string
	Role    string
	Before  []string
}

func (m *RoleMovedError) Error() string {
	return fmt.Sprintf("version %s of plugin %s gives the role %s to the setting %s (before: %s), so requests would "+
		"go elsewhere: give the setting another name, and the previous name as its alias", m.Version, m.Plugin, m.Role,
		m.Setting, cmp.Or(strings.Join(m.Before, ", "), "to none"))
}

// movedRoleOf compares a setting with the roles of earlier settings by name. It returns nil if no address role moved.
func movedRoleOf(key *wit.ConfigKey, earlier map[string]string) *RoleMovedError {
	names, roles, _ := settingOf(key)
	for _, roleName := range roles {
		if !role.IsAddress(roleName) {
			continue
		}
		var earlierNames []string
		for _, name := range slices.Sorted(maps.Keys(earlier)) {
			if slices.Contains(splitRoles(earlier[name]), roleName) {
				earlierNames = append(earlierNames, name)
			}
		}
		hadRole := func(name string) bool { return slices.Contains(earlierNames, name) }
		hadOtherUse := func(name string) bool {
			_, ok := earlier[name]
			return ok && !hadRole(name)
		}
		if slices.ContainsFunc(names, hadOtherUse) || (len(earlierNames) > 0 && !slices.ContainsFunc(names, hadRole)) {
			return &RoleMovedError{Setting: names[0], Role: roleName, Before: earlierNames}
		}
	}
	return nil
}

// history records the roles and secrets of all versions that ran. It is stored as JSON.
type history struct {
	mu       sync.Mutex
	path     string // "" to store nothing
	logger   *slog.Logger
	builtIn  map[string]*roleDeclarations // by plugin name
	recorded map[string]bool              // hashes of versions that were recorded since the start
	Plugins  map[string]*pluginHistory
}

type pluginHistory struct {
	Base *roleDeclarations `json:",omitempty"` // of the version that ran last
	All  *roleDeclarations `json:",omitempty"` // of all versions that ran
}

const historyFileLimit = 16 << 20

// readHistory returns an error for a file that is unreadable or has unknown fields: without them any version would be
// accepted as the first.
func readHistory(path string, log *slog.Logger) (*history, error) {
	history := &history{path: path, logger: log, builtIn: map[string]*roleDeclarations{}, recorded: map[string]bool{},
		Plugins: map[string]*pluginHistory{}}
	if path == "" {
		return history, nil
	}
	file, err := wholefile.Read(path, historyFileLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return history, nil
	}
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(file))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(history)
		if _, endErr := decoder.Token(); err == nil && !errors.Is(endErr, io.EOF) {
			err = errors.New("expected one object, found more")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s, the record of plugin versions that ran: %w; check the plugins in the "+
			"folder, then delete the file", path, err)
	}
	for name, entry := range history.Plugins {
		if entry == nil {
			delete(history.Plugins, name)
			continue
		}
		entry.All = (&roleDeclarations{}).merge(entry.All).merge(entry.Base)
	}
	return history, nil
}

// entry returns a plugin's history, which it creates if there is no entry. h.mu must be held.
func (h *history) entry(name string) *pluginHistory {
	entry := h.Plugins[name]
	if entry == nil {
		entry = &pluginHistory{All: &roleDeclarations{}}
		h.Plugins[name] = entry
	}
	return entry
}

// checkRoles rejects a version from a folder that moves an address role, and warns of other changes. It compares with
// versions that ran, built-in ones, and older, which merges versions in other files. A built-in version is recorded.
func (h *history) checkRoles(info *Info, older *roleDeclarations) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if info.BuiltIn {
		h.builtIn[info.Name] = declarationsOf(info)
		return nil
	}
	entry := h.entry(info.Name)
	previous := (&roleDeclarations{}).merge(entry.All).merge(h.builtIn[info.Name]).merge(older)
	for _, component := range info.Components {
		for _, name := range Names(component) {
			earlier := previous.Roles[component.Kind.String()+" "+name]
			if earlier == nil {
				continue
			}
			for j := range component.Settings {
				if moved := movedRoleOf(&component.Settings[j], earlier); moved != nil {
					moved.Plugin = info.Name
					moved.Version = info.Version
					return moved
				}
			}
		}
	}
	base := cmp.Or(entry.Base, h.builtIn[info.Name])
	if base == nil {
		return nil
	}
	if changes := declarationsOf(info).differences(base); len(changes) > 0 {
		h.logger.Warn("a version of a plugin gives other roles to settings than the previous version",
			"plugin", info.Name, "version", info.Version, "hash", info.Hash, "file", info.Path, "before", base.Version,
			"changes", strings.Join(changes[:min(len(changes), listedChanges)], "; "), "count", len(changes))
	}
	return nil
}

const listedChanges = 10 // more are only counted

// recordRun stores that a connector runs a version, merged with what other processes have stored. isNew is true for the
// first run of the version.
func (h *history) recordRun(info *Info) (isNew bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry := h.entry(info.Name)
	isRecorded := h.recorded[info.Hash]
	if isRecorded && entry.Base.Hash == info.Hash {
		return false // the usual case, at each call of a check
	}
	declared := declarationsOf(info)
	entry.Base = declared
	if isRecorded {
		return false
	}
	h.recorded[info.Hash] = true
	other, err := readHistory(h.path, h.logger) // it was readable at the start
	if err == nil {
		for name, theirs := range other.Plugins {
			h.entry(name).All.merge(theirs.All)
		}
	}
	entry.All.merge(declared)
	if h.path == "" {
		return true
	}
	var b []byte
	if err == nil {
		b, err = json.Marshal(h)
	}
	if err == nil {
		err = wholefile.WriteSynced(h.path, b)
	}
	if err != nil {
		h.logger.Warn("the plugin versions that ran cannot be stored: after a restart the first version found is "+
			"trusted", "file", h.path, "error", err)
	}
	return true
}

// addSecrets adds the settings that were secret in any version that ran of a plugin, "" for all plugins.
func (h *history) addSecrets(isSecret map[string]bool, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for plugin, entry := range h.Plugins {
		if name != "" && name != plugin {
			continue
		}
		for _, settings := range entry.All.Secrets {
			for _, secret := range settings {
				isSecret[secret] = true
			}
		}
	}
}
