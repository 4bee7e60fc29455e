package kafka

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

const (
	OverridePolicySetting    = "connector.client.config.override.policy"
	OverrideAllowlistSetting = "connector.client.config.override.allowlist"
)

// Overrides is a policy: which client properties connectors may override. The zero value allows none.
type Overrides struct {
	policy string
	all    bool     // every property is allowed
	names  []string // allowed properties, without a prefix
}

// OverridePolicy parses a policy by Kafka Connect's name or class; "" is All. allowlist belongs to Allowlist.
func OverridePolicy(name, allowlist string) (Overrides, error) {
	const javaPackage, suffix = "org.apache.kafka.connect.connector.policy.", "ConnectorClientConfigOverridePolicy"
	overrides := Overrides{policy: strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(name), javaPackage), suffix)}
	switch overrides.policy {
	case "All", "":
		overrides.all = true
	case "None": // no names
	case "Principal":
		overrides.names = []string{"security.protocol", "sasl.mechanism", "sasl.jaas.config"}
	case "Allowlist":
		overrides.names = nonEmptyItems(allowlist)
	default:
		return Overrides{}, setting.Problem{Setting: OverridePolicySetting, Code: setting.CodeInvalid,
			Text: setting.Invalid(OverridePolicySetting, name,
				"expected All, None, Principal or Allowlist: Java classes are not supported")}
	}
	return overrides, nil
}

// Check returns an error for a connector's setting that overrides a client property against the policy.
func (o Overrides) Check(name string) error {
	for _, prefix := range overridePrefixes {
		short, ok := strings.CutPrefix(name, prefix)
		if !ok || o.all || slices.Contains(o.names, short) {
			continue
		}
		allowed := "none"
		if len(o.names) > 0 {
			allowed = strings.Join(o.names, ", ")
		}
		return fmt.Errorf("the worker does not allow connectors to set this (%s=%s, which allows %s)",
			OverridePolicySetting, o.policy, allowed)
	}
	return nil
}
