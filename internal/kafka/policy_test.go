package kafka

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// The nine cases in which Kafka Connect's own tests query its policies apply to the settings of the producer, the
// consumer and the administrator alike.
func TestOverridePolicies(t *testing.T) {
	for _, c := range []struct {
		name      string
		policy    string
		allowlist string
		setting   string // without the prefix for overrides; "" means a setting that is no override
		refusal   string // a part of the error; "" means that the setting is allowed
	}{
		{name: "none, a setting", policy: "None", setting: "max.poll.records", refusal: "allows none"},
		{name: "none, a principal", policy: "None", setting: "sasl.jaas.config", refusal: "allows none"},
		{name: "none, no override", policy: "None"},
		{name: "principal, a setting", policy: "Principal", setting: "batch.size",
			refusal: "allows security.protocol, sasl.mechanism, sasl.jaas.config"},
		{name: "principal, a principal", policy: "Principal", setting: "sasl.jaas.config"},
		{name: "all", policy: "All", setting: "batch.size"},
		{name: "the default", policy: "", setting: "batch.size"},
		{name: "allowlist, a setting in it", policy: "Allowlist", allowlist: "batch.size, acks", setting: "acks"},
		{name: "allowlist, another setting", allowlist: "batch.size,acks", setting: "linger.ms",
			policy:  "org.apache.kafka.connect.connector.policy.AllowlistConnectorClientConfigOverridePolicy",
			refusal: "allows batch.size, acks"},
	} {
		o, err := OverridePolicy(c.policy, c.allowlist)
		require.NoError(t, err, c.name)
		for _, client := range []string{"producer", "consumer", "admin"} {
			setting := client + ".override." + c.setting
			if c.setting == "" {
				setting = client + ".name"
			}
			err := o.Check(setting)
			if (err == nil) != (c.refusal == "") || (err != nil && !strings.Contains(err.Error(), c.refusal)) {
				t.Errorf("%s: %s: expected a rejection with %q, found %v", c.name, setting, c.refusal, err)
			}
		}
	}
}
