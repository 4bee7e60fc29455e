package plugin

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// secretNames are the tables of [Manager.SecretNames] for a set of plugins. They are immutable.
type secretNames struct {
	changes uint64 // Manager.changes when the tables were made
	builtIn *setting.Table
	all     *setting.Table
}

// SecretNames returns the names and aliases of all settings that the loaded plugins declare, and that were secret in a
// version that ran: [wit.KindPassword] means that at least one of them declares a secret. With builtInOnly, only
// built-in plugins count. The table is made again when the set of plugins changes; callers do not change it.
func (m *Manager) SecretNames(builtInOnly bool) *setting.Table {
	names := m.secretNames.Load()
	if names == nil || names.changes != m.changes.Load() {
		names = m.collectSecretNames()
		m.secretNames.Store(names)
	}
	if builtInOnly {
		return names.builtIn
	}
	return names.all
}

func (m *Manager) collectSecretNames() *secretNames {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := &secretNames{changes: m.changes.Load()}
	modules := m.retiredModules()
	for _, source := range m.sources {
		for _, mod := range []*module{source.active, source.previous} {
			if mod != nil {
				modules = append(modules, mod)
			}
		}
	}
	isSecret := map[string]bool{}
	isBuiltInSecret := map[string]bool{}
	for _, mod := range modules {
		for _, component := range mod.info.Components {
			addNames(isSecret, component.Settings)
			if mod.info.BuiltIn {
				addNames(isBuiltInSecret, component.Settings)
			}
		}
		if mod.info.BuiltIn {
			m.history.addSecrets(isBuiltInSecret, mod.info.Name)
		}
	}
	m.history.addSecrets(isSecret, "")
	names.builtIn = tableOfNames(isBuiltInSecret)
	names.all = tableOfNames(isSecret)
	return names
}

// addNames adds the names of settings. A name stays secret if another setting of that name is not.
func addNames(isSecret map[string]bool, settings []wit.ConfigKey) {
	for i := range settings {
		names, _, secret := settingOf(&settings[i])
		for _, name := range names {
			isSecret[name] = isSecret[name] || secret
		}
	}
}

func tableOfNames(isSecret map[string]bool) *setting.Table {
	table := &setting.Table{}
	for name, secret := range isSecret {
		key := wit.ConfigKey{Name: name}
		if secret {
			key.Kind = wit.KindPassword
		}
		table.Declare(key)
	}
	return table
}
