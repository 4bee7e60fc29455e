package kafka

import (
	"strings"
	"testing"
)

// The nine cases in which Kafka Connect's own tests query its policies apply to the settings of the producer, the
// consumer and the administrator alike.
func TestOverridePolicies(t *testing.T) {
	for _, c := range []struct{ name, policy, allowlist, setting, refusal string }{
		{"none, a setting", "None", "", "max.poll.records", "allows none"},
		{"none, a principal", "None", "", "sasl.jaas.config", "allows none"},
		{"none, no override", "None", "", "", ""},
		{"principal, a setting", "Principal", "", "batch.size",
			"allows security.protocol, sasl.mechanism, sasl.jaas.config"},
		{"principal, a principal", "Principal", "", "sasl.jaas.config", ""},
		{"all", "All", "", "batch.size", ""},
		{"the default", "", "", "batch.size", ""},
		{"allowlist, what it names", "Allowlist", "batch.size, acks", "acks", ""},
		{"allowlist, something else",
			"org.apache.kafka.connect.connector.policy.AllowlistConnectorClientConfigOverridePolicy", "batch.size,acks",
			"linger.ms", "allows batch.size, acks"},
	} {
		o, err := OverridePolicy(c.policy, c.allowlist)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, client := range []string{"producer", "consumer", "admin"} {
			setting := client + ".override." + c.setting
			if c.setting == "" {
				setting = client + ".name" // without a prefix for overrides
			}
			err := o.Check(setting)
			if (err == nil) != (c.refusal == "") || (err != nil && !strings.Contains(err.Error(), c.refusal)) {
				t.Errorf("%s: %s: expected a rejection with %q, found %v", c.name, setting, c.refusal, err)
			}
		}
	}
}
