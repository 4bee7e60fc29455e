package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Mask replaces the value of a password wherever settings are shown.
const Mask = setting.Hidden

// IsPassword reports whether a setting is a secret, by declarations (see [IsSecret]) or Kafka's definitions.
func IsPassword(key string, declared ...*Declarations) bool {
	if _, client, ok := strings.Cut(key, ".override."); ok && HasPrefix(key, []string{"producer.", "consumer.",
		"admin."}) {
		return IsSecret(client, workerDeclarations())
	}
	return IsSecret(key, declared...) || slices.ContainsFunc(registrySecrets,
		func(name string) bool { return strings.HasSuffix(key, name) })
}

var registrySecrets = []string{".basic.auth.user.info", ".bearer.auth.token", ".sasl.jaas.config"}

// IsSecret reports whether a setting is a secret by its kind or role in any of the declarations, which may be nil, or,
// if only a template for any name matches, by the end of the key.
func IsSecret(key string, declared ...*Declarations) bool {
	isDeclared := false
	for _, declarations := range declared {
		if declarations == nil {
			continue
		}
		for _, spec := range declarations.Matching(key) {
			isDeclared = isDeclared || !strings.HasSuffix(spec.Name, "{name}") // a template for any other name
			if spec.Kind == wit.KindPassword || slices.ContainsFunc(spec.Rules,
				func(r wit.Rule) bool { return r.Role != nil && role.IsSecret(*r.Role) }) {
				return true
			}
		}
	}
	return !isDeclared && slices.Contains(secretNames, strings.ToLower(key[strings.LastIndexByte(key, '.')+1:]))
}

var secretNames = []string{"password", "pwd", "secret"}

// MaskPasswords replaces passwords by [Mask].
func MaskPasswords(settings map[string]string, password func(key string) bool) map[string]string {
	masked := make(map[string]string, len(settings))
	for key, value := range settings {
		if value != "" && password(key) {
			value = Mask
		}
		masked[key] = value
	}
	return masked
}

// RestoreMasked replaces [Mask] in a received configuration by the stored value. The error names settings without one.
// All REST routes that receive a configuration use it, PATCH after applying the patch.
func RestoreMasked(received, stored map[string]string) (map[string]string, error) {
	settings := make(map[string]string, len(received))
	var missing []string
	for key, value := range received {
		if setting.Trim(value) == Mask {
			storedValue, ok := stored[key]
			if !ok || setting.Trim(storedValue) == Mask {
				missing = append(missing, key)
			}
			value = storedValue
		}
		settings[key] = value
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, fmt.Errorf("%s: expected a value, found %s, which stands for a stored value, but none is stored",
			strings.Join(missing, ", "), Mask)
	}
	return settings, nil
}

// SharedProblems returns the problems that a file's connector has in the config topic: only providers in
// `config.providers` resolve its references, and passwords in clear text may be rejected.
func (w *Worker) SharedProblems(connector *Connector, password func(key string) bool) Problems {
	entries := slices.Clone(connector.Entries)
	for i := range entries {
		entries[i].FromREST = true
	}
	_, problems := NewConnector(connector.File, entries, w.Providers)
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return slices.Contains(connector.Problems, p) })
	return append(problems, w.ClearTextProblems(connector, password)...)
}

// SecretsSetting decides whether passwords may be stored in the config topic.
const SecretsSetting = "config.storage.secrets"

// ClearTextProblems returns the problems of passwords that are no references, if the worker's group rejects them.
func (w *Worker) ClearTextProblems(connector *Connector, password func(key string) bool) (problems Problems) {
	if !w.InGroup() || !strings.EqualFold(w.Text(SecretsSetting), "refuse") {
		return nil
	}
	for _, entry := range connector.Entries {
		if setting.Trim(entry.Raw) != "" && password(entry.Key) && !w.Providers.hasReference(entry) {
			problems = append(problems, entry.Problem(
				"expected a reference to a config provider, since %s=refuse keeps "+
					"passwords out of config.storage.topic, found the password: write ${file:PATH:KEY} or "+
					"${env:NAME}, with a provider that config.providers declares (now: %s)", SecretsSetting,
				cmp.Or(strings.Join(w.Providers.declared, ", "), "none")))
		}
	}
	return problems
}
