package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/plugin/version"
	"github.com/culvert-project/culvert/wit"
)

// componentQuery describes the component that a connector needs. An empty plugin means any.
type componentQuery struct {
	kind     wit.ComponentKind
	class    string
	versions version.Range
	plugin   string
}

// newQuery returns the query for a class in a version range, see [version.ParseRange].
func newQuery(kind wit.ComponentKind, class, spec string) (componentQuery, error) {
	versions, err := version.ParseRange(spec)
	if err != nil {
		err = fmt.Errorf("%s %s: version: %w", kind, class, err)
	}
	return componentQuery{kind: kind, class: class, versions: versions}, err
}

func (c componentQuery) isTransform() bool {
	return c.kind == wit.ComponentTransformation || c.kind == wit.ComponentPredicate
}

func (c componentQuery) matches(mod *module) bool {
	return (c.plugin == "" || c.plugin == mod.info.Name) && mod.component(c.kind, c.class) != nil
}

func (c componentQuery) String() string { return fmt.Sprintf("%s %s", c.kind, c.class) }

// Find returns the module that a new connector would get: the newest version in a range, see [version.ParseRange].
func (m *Manager) Find(kind wit.ComponentKind, class, versions string) (Info, error) {
	query, err := newQuery(kind, class, versions)
	if err != nil {
		return Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	module, err := m.find(query)
	if err != nil {
		return Info{}, err
	}
	return module.snapshot(), nil
}

// find returns the module that a connector gets. m.mu must be held.
func (m *Manager) find(query componentQuery) (*module, error) {
	if err := m.choosePlugin(&query); err != nil {
		return nil, err
	}
	var best *module
	var versions, refused []string
	for _, source := range m.sources {
		// A refused file has a name only if it was loaded: the version was rolled back, or may not replace another one.
		if source.refused != nil && (source.active == nil || (source.refused.Name != "" &&
			query.matches(source.active))) {
			refused = append(refused, source.refused.Err.Error())
		}
		mod := m.moduleFor(source, query)
		if active := source.active; mod == nil && active != nil && query.matches(active) {
			refused = append(refused, fmt.Sprintf("version %s waits, because this worker's group runs the one whose "+
				"file hash begins with %s, which is missing here", active.info.Version, m.pins[active.info.Name].Hash))
		}
		if mod == nil || !query.matches(mod) {
			continue
		}
		if rejection := m.rejected[mod.info.Hash]; rejection != nil {
			refused = append(refused, rejection.Error())
			continue
		}
		versions = append(versions, mod.info.Version)
		if !query.versions.Contains(mod.info.Version) {
			continue
		}
		if best == nil || m.precedes(mod, best) {
			best = mod
		}
	}
	if best != nil {
		return best, nil
	}
	// Explain why there is no module.
	slices.Sort(refused)
	if len(versions) == 0 && len(m.movedRoleTexts("")) > 0 {
		return nil, &AmbiguousPluginError{fmt.Sprintf("no plugin has the %s; refused: %s", query,
			strings.Join(refused, "; "))}
	}
	hint := ""
	if len(refused) > 0 {
		hint = "; refused: " + strings.Join(refused, "; ")
	}
	if len(versions) > 0 {
		slices.SortFunc(versions, version.Compare)
		return nil, fmt.Errorf("%s: expected version %s, found %s%s", query, query.versions.Spec,
			strings.Join(slices.Compact(versions), ", "), hint)
	}
	return nil, fmt.Errorf("no plugin has the %s%s", query, hint)
}

// precedes reports whether a is preferred to b: an operator's choice, else the newer one. m.mu must be locked.
func (m *Manager) precedes(a, b *module) bool {
	if chosen := m.chosen[a.info.Name]; chosen != "" && a.info.Name == b.info.Name && a.info.Hash != b.info.Hash {
		switch chosen {
		case a.info.Hash:
			return true
		case b.info.Hash:
			return false
		}
	}
	return a.isNewer(b)
}

// AmbiguousPluginError is the error for a class that two plugins have, or whose only version is refused
// ([RoleMovedError]). It fails only connectors that use the class.
type AmbiguousPluginError struct{ text string }

func (a *AmbiguousPluginError) Error() string { return a.text }

// choosePlugin sets query.plugin if several plugins have the class: to the built-in one, or else it returns
// [AmbiguousPluginError]. m.mu must be locked.
func (m *Manager) choosePlugin(query *componentQuery) error {
	if query.plugin != "" {
		return nil
	}
	var names []string
	builtIn := map[string]bool{}
	for _, source := range m.sources {
		mod := source.active
		if mod == nil || !query.matches(mod) || m.rejected[mod.info.Hash] != nil {
			continue
		}
		builtIn[mod.info.Name] = builtIn[mod.info.Name] || mod.info.BuiltIn
		names = append(names, mod.info.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 2 {
		return nil
	}
	chosen := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !builtIn[name] })
	if len(chosen) != 1 {
		var list []string
		for path, source := range m.sources {
			if source.active != nil && query.matches(source.active) {
				info := &source.active.info
				list = append(list, fmt.Sprintf("%s %s (%s)", info.Name, info.Version, path))
			}
		}
		slices.Sort(list)
		return &AmbiguousPluginError{fmt.Sprintf("%s: expected one plugin that has it, found %s (%s): remove the "+
			"files of the others", query, strings.Join(names, ", "), strings.Join(list, ", "))}
	}
	query.plugin = chosen[0]
	return nil
}

func (m *Manager) otherProviders(query componentQuery, name string) (list []string) {
	query.plugin = ""
	for path, source := range m.sources {
		if mod := source.active; mod != nil && mod.info.Name != name && query.matches(mod) {
			list = append(list, fmt.Sprintf("plugin %s (%s) has the %s too, but connectors do not use that one",
				mod.info.Name, path, query))
		}
	}
	slices.Sort(list)
	return list
}

// pendingReason returns why tasks rejected a version, "" if none did. m.mu must be locked.
func (m *Manager) pendingReason(info *Info) string {
	var tasks, rejections int
	reason := ""
	for binding := range m.bindings {
		binding.mu.Lock()
		if binding.current.module.info.Name == info.Name {
			tasks++
			if taskReason, ok := binding.rejected[info.Hash]; ok {
				rejections++
				reason = taskReason
			}
		}
		binding.mu.Unlock()
	}
	if info.Err != nil || rejections == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d tasks rejected it: %s", rejections, tasks, reason)
}

// movedRoleTexts returns the refusals by [RoleMovedError] of a plugin, "" for all plugins. m.mu must be held.
func (m *Manager) movedRoleTexts(name string) (texts []string) {
	for _, source := range m.sources {
		if source.refused == nil {
			continue
		}
		moved, ok := errors.AsType[*RoleMovedError](source.refused.Err)
		if ok && (name == "" || moved.Plugin == name) {
			texts = append(texts, source.refused.Err.Error())
		}
	}
	slices.Sort(texts)
	return texts
}

// isNewer compares versions; of equal ones the module that was loaded later is newer.
func (m *module) isNewer(other *module) bool {
	return cmp.Or(version.Compare(m.info.Version, other.info.Version), cmp.Compare(m.order, other.order)) > 0
}
