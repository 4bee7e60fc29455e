package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Parse reads a worker's Kafka client properties. Warnings name settings without effect, and unknown ones with a
// prefix. The error wraps a [setting.Problem]. ctx cancels reading of key stores.
func Parse(ctx context.Context, properties map[string]string) (Config, setting.Problems, error) {
	config := Defaults()
	config.currentValues = &security.CurrentValues{}
	config.shared = &sharedClients{}
	warnings, err := config.apply(properties, map[string]clientKind{
		"": kindCommon, "producer.": kindProducer, "consumer.": kindConsumer, "admin.": kindAdmin,
	})
	if err != nil {
		return Config{}, warnings, err
	}
	if len(config.Bootstrap) == 0 {
		return Config{}, warnings, setting.Problem{Setting: "bootstrap.servers", Code: setting.CodeMissing,
			Text: setting.Missing("bootstrap.servers")}
	}
	if config.Proxy, err = security.NewProxy(properties, config.Bootstrap, config.currentValues); err != nil {
		return Config{}, warnings, err
	}
	accessWarnings, err := config.buildAccess(ctx)
	return config, append(warnings, accessWarnings...), err
}

// Override returns c with a connector's *.override.* properties. ctx cancels reading of key stores.
func (c Config) Override(ctx context.Context, properties map[string]string) (Config, setting.Problems, error) {
	warnings, err := c.apply(properties, map[string]clientKind{
		"producer.override.": kindProducer, "consumer.override.": kindConsumer, "admin.override.": kindAdmin,
	})
	c.currentValues = c.currentValues.Derive()
	c.shared = cmp.Or(c.shared, &sharedClients{})
	if err != nil || !overridesAccess(properties) {
		return c, warnings, err
	}
	accessWarnings, err := c.buildAccess(ctx)
	return c, append(warnings, accessWarnings...), err
}

var overridePrefixes = []string{"producer.override.", "consumer.override.", "admin.override."}

func overridesAccess(properties map[string]string) bool {
	for name := range properties {
		for _, prefix := range overridePrefixes {
			short, ok := strings.CutPrefix(name, prefix)
			if ok && (clientconfig.IsSecurityProperty(short) || short == "bootstrap.servers" || short == connectTimeout) {
				return true
			}
		}
	}
	return false
}

// apply sets properties in order of names, so that errors and warnings are deterministic.
func (c *Config) apply(properties map[string]string,
	prefixes map[string]clientKind) (warnings setting.Problems, err error) {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		prefix := "" // the longest one
		kind := kindNone
		for candidate, candidateKind := range prefixes {
			if strings.HasPrefix(name, candidate) && (kind == kindNone || len(candidate) > len(prefix)) {
				prefix = candidate
				kind = candidateKind
			}
		}
		if kind == kindNone {
			continue
		}
		short := name[len(prefix):]
		value := setting.Trim(properties[name])
		declaration, ok := settings[kind][short]
		switch {
		case clientconfig.IsSecurityProperty(short):
			w, err := c.applySecurity(kind, short, clientconfig.Value{Name: name, Value: value})
			if err != nil {
				return warnings, err
			}
			if w.Text != "" {
				warnings = append(warnings, w)
			}
		case ok && declaration.set != nil:
			hint, err := declaration.apply(c, name, value)
			if err != nil {
				return warnings, err
			}
			if hint != "" {
				warnings = append(warnings, warning(name, "", hint))
			}
		case ok:
			warnings = append(warnings, warning(name, setting.CodeNoEffect, "has no effect here"))
		case name == "admin.listeners":
			// It is a setting of the REST API, not of admin clients.
		case prefix != "": // without a prefix it may be a setting of something else
			var t setting.Table
			for _, property := range slices.Sorted(maps.Keys(settings[kind])) {
				t.Declare(wit.ConfigKey{Name: property})
			}
			warnings = append(warnings, warning(name, setting.CodeUnknown, setting.Unknown(t.Nearest(short))))
		}
	}
	return warnings, nil
}

func warning(name string, code setting.Code, text string) setting.Problem {
	return setting.Problem{Setting: name, Code: code, Text: text, Warning: true}
}

func (c *Config) applySecurity(kind clientKind, name string,
	value clientconfig.Value) (warning setting.Problem, err error) {
	hasEffect, warning, err := clientconfig.Check(name, value)
	if !hasEffect {
		return warning, err
	}
	client := c.client(kind)
	client.Security = maps.Clone(client.Security) // the map is shared with the original configuration
	if client.Security == nil {
		client.Security = map[string]clientconfig.Value{}
	}
	client.Security[name] = value
	return warning, nil
}

// client returns the configuration of a kind of client, which the caller may change.
func (c *Config) client(kind clientKind) *ClientConfig {
	switch kind {
	case kindProducer:
		return &c.Producer.ClientConfig
	case kindConsumer:
		return &c.Consumer.ClientConfig
	case kindAdmin:
		return &c.Admin
	}
	return &c.ClientConfig
}

// buildAccess sets the access of each kind of client. Kinds with equal properties share it.
func (c *Config) buildAccess(ctx context.Context) (warnings setting.Problems, err error) {
	if c.currentValues == nil {
		c.currentValues = &security.CurrentValues{}
	}
	for _, kind := range []clientKind{kindCommon, kindProducer, kindConsumer, kindAdmin} {
		client := c.client(kind)
		merged := client.withDefaults(c.ClientConfig)
		if equal := c.sameAccess(kind, merged); equal != nil {
			client.access = equal.access
			continue
		}
		access, kindWarnings, err := security.New(ctx, security.Options{Properties: merged.Security,
			Bootstrap: merged.Bootstrap, Timeout: merged.ConnectTimeout, Proxy: c.Proxy, Live: c.currentValues})
		if err != nil {
			return warnings, err
		}
		client.access = access
		for _, w := range kindWarnings {
			if !slices.Contains(warnings, w) {
				warnings = append(warnings, w)
			}
		}
	}
	return warnings, nil
}

// sameAccess returns an earlier kind of client with the same properties, nil for none.
func (c *Config) sameAccess(kind clientKind, merged ClientConfig) *ClientConfig {
	for earlier := kindCommon; earlier < kind; earlier++ {
		other := c.client(earlier).withDefaults(c.ClientConfig)
		if maps.Equal(other.Security, merged.Security) && slices.Equal(other.Bootstrap, merged.Bootstrap) &&
			other.ConnectTimeout == merged.ConnectTimeout {
			return c.client(earlier)
		}
	}
	return nil
}

// EmbeddedListen reports whether bootstrap.servers is the embedded broker, and its address; "" means the default.
func EmbeddedListen(bootstrap []string) (listen string, embedded bool, err error) {
	if len(bootstrap) == 0 || !clientconfig.IsEmbedded(bootstrap[0]) {
		return "", false, nil
	}
	if len(bootstrap) > 1 {
		return "", true, setting.Problem{Setting: "bootstrap.servers", Code: setting.CodeInvalid,
			Text: setting.Invalid("bootstrap.servers", strings.Join(bootstrap, ","), "expected embedded alone")}
	}
	_, port, hasPort := strings.Cut(bootstrap[0], ":")
	if !hasPort {
		return "", true, nil
	}
	n, ok := setting.ParseInt(wit.KindInt, port)
	if !ok || n < 1 || n > math.MaxUint16 {
		return "", true, setting.Problem{Setting: "bootstrap.servers", Code: setting.CodeInvalid,
			Text: setting.Invalid("bootstrap.servers", bootstrap[0],
				"expected embedded:PORT with a port from 1 to 65535")}
	}
	return fmt.Sprintf("127.0.0.1:%d", n), true, nil
}
