package plugin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

type selection struct {
	kind           wit.ComponentKind
	class, version string
	plugin         string
}

func (s selection) transforms() bool {
	return s.kind == wit.ComponentTransformation || s.kind == wit.ComponentPredicate
}

func (s selection) offered(m *module) bool {
	return (s.plugin == "" || s.plugin == m.info.Name) && m.component(s.kind, s.class) != nil
}

func (s selection) String() string { return fmt.Sprintf("%s %s", s.kind, s.class) }

// Find returns the module that a new connector would get: the newest version, or the specified one.
func (m *Manager) Find(kind wit.ComponentKind, class, version string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, err := m.find(selection{kind: kind, class: class, version: version})
	if err != nil {
		return Info{}, err
	}
	return found.snapshot(), nil
}

func (m *Manager) find(s selection) (*module, error) {
	if err := m.choosePlugin(&s); err != nil {
		return nil, err
	}
	var best *module
	var versions, refused []string
	for _, o := range m.sources {
		if o.refused != nil && (o.active == nil || o.refused.Name != "" && s.offered(o.active)) {
			refused = append(refused, o.refused.Err.Error())
		}
		a := m.selected(o, s)
		if waits := o.active; a == nil && waits != nil && s.offered(waits) {
			refused = append(refused, fmt.Sprintf("version %s waits, as the group of this worker runs the one whose "+
				"file's hash begins with %s, which is not here", waits.info.Version, m.pins[waits.info.Name].Hash))
		}
		if a == nil || !s.offered(a) {
			continue
		}
		if why := m.rejected[a.info.Hash]; why != nil {
			refused = append(refused, why.Error())
			continue
		}
		versions = append(versions, a.info.Version)
		if s.version != "" && s.version != a.info.Version {
			continue
		}
		if best == nil || m.precedes(a, best) {
			best = a
		}
	}
	if best != nil {
		return best, nil
	}
	slices.Sort(refused)
	if len(versions) == 0 && len(m.roleMoves("")) > 0 {
		return nil, &AmbiguousPlugin{fmt.Sprintf("no plugin has the %s; refused: %s", s, strings.Join(refused, "; "))}
	}
	hint := ""
	if len(refused) > 0 {
		hint = "; refused: " + strings.Join(refused, "; ")
	}
	if len(versions) > 0 {
		slices.SortFunc(versions, CompareVersions)
		return nil, fmt.Errorf("%s: expected version %s, there are %s%s", s, s.version,
			strings.Join(slices.Compact(versions), ", "), hint)
	}
	return nil, fmt.Errorf("no plugin has the %s%s", s, hint)
}

// precedes reports whether a is preferred to b: an operator's choice, else the newer one; m.mu is held.
func (m *Manager) precedes(a, b *module) bool {
	if chosen := m.chosen[a.info.Name]; chosen != "" && a.info.Name == b.info.Name && a.info.Hash != b.info.Hash {
		switch chosen {
		case a.info.Hash:
			return true
		case b.info.Hash:
			return false
		}
	}
	return a.newer(b)
}

// AmbiguousPlugin is the error for a class that two plugins have, or whose only version is refused ([RoleMoved]). It
// fails only connectors that use the class.
type AmbiguousPlugin struct{ text string }

func (u *AmbiguousPlugin) Error() string { return u.text }

// choosePlugin prefers the built-in one of several plugins with the class; otherwise it returns [AmbiguousPlugin]. m.mu
// is held.
func (m *Manager) choosePlugin(s *selection) error {
	if s.plugin != "" {
		return nil
	}
	var names []string
	builtIn := map[string]bool{}
	for _, o := range m.sources {
		a := o.active
		if a == nil || !s.offered(a) || m.rejected[a.info.Hash] != nil {
			continue
		}
		builtIn[a.info.Name] = builtIn[a.info.Name] || a.info.BuiltIn
		names = append(names, a.info.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 2 {
		return nil
	}
	chosen := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !builtIn[name] })
	if len(chosen) != 1 {
		return &AmbiguousPlugin{fmt.Sprintf(
			"%s: expected one plugin that has it, there are %s (%s): remove the files of "+
				"the others", s, strings.Join(names, ", "), m.providersText(*s))}
	}
	s.plugin = chosen[0]
	return nil
}

func (m *Manager) providersText(s selection) string {
	var list []string
	for path, o := range m.sources {
		if o.active != nil && s.offered(o.active) {
			list = append(list, fmt.Sprintf("%s %s (%s)", o.active.info.Name, o.active.info.Version, path))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (m *Manager) otherProviders(s selection, name string) (list []string) {
	s.plugin = ""
	for path, o := range m.sources {
		if a := o.active; a != nil && a.info.Name != name && s.offered(a) {
			list = append(list, fmt.Sprintf("plugin %s (%s) has the %s too, and connectors do not get it there",
				a.info.Name, path, s))
		}
	}
	slices.Sort(list)
	return list
}

// pendingReason says why tasks rejected a version, "" if none did; m.mu is held.
func (m *Manager) pendingReason(info *Info) string {
	tasks, unfit := 0, 0
	reason := ""
	for b := range m.bindings {
		b.mu.Lock()
		if b.current.module.info.Name == info.Name {
			tasks++
			if why, no := b.rejected[info.Hash]; no {
				unfit, reason = unfit+1, why
			}
		}
		b.mu.Unlock()
	}
	if info.Err != nil || unfit == 0 {
		return ""
	}
	return fmt.Sprintf("it does not fit at %d of %d tasks: %s", unfit, tasks, reason)
}

func (m *Manager) roleMoves(name string) (texts []string) {
	for _, o := range m.sources {
		if o.refused == nil {
			continue
		}
		if moved, ok := errors.AsType[*RoleMoved](o.refused.Err); ok && (name == "" || moved.Plugin == name) {
			texts = append(texts, o.refused.Err.Error())
		}
	}
	slices.Sort(texts)
	return texts
}
