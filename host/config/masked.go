package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// IsPassword tells whether the value of a connector's setting is a secret: by what is declared (see [isSecret]), or by
// Kafka's own declarations of clients where the connector overrides them.
func IsPassword(key string, declared ...*Declarations) bool {
	if _, client, ok := strings.Cut(key, ".override."); ok && hasPrefix(key, []string{"producer.", "consumer.",
		"admin."}) {
		return isSecret(client, workerDeclarations())
	}
	return isSecret(key, declared...) || slices.ContainsFunc(registrySecrets,
		func(name string) bool { return strings.HasSuffix(key, name) })
}

// registrySecrets are those of converters that end otherwise.
var registrySecrets = []string{".basic.auth.user.info", ".bearer.auth.token", ".sasl.jaas.config"}

// MaskPasswords is a configuration with [Mask] in the place of passwords.
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

// RestoreMasked is a configuration as it is to be stored or checked, of one that somebody was shown masked and sends
// back: [Mask] stands for the value that is stored, as it was written. The error names the settings for which there is
// none. It is for every route that takes a configuration, for PATCH after the patch was applied; answers are 400 with
// the error's text.
func RestoreMasked(given, stored map[string]string) (map[string]string, error) {
	settings := make(map[string]string, len(given))
	var missing []string
	for key, value := range given {
		if setting.Trim(value) == Mask {
			before, ok := stored[key]
			if !ok || setting.Trim(before) == Mask {
				missing = append(missing, key)
			}
			value = before
		}
		settings[key] = value
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, fmt.Errorf("%s: expected a value, found %s, which stands for the one that is stored, and there "+
			"is none", strings.Join(missing, ", "), Mask)
	}
	return settings, nil
}
