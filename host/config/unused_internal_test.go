package config

import "testing"

// README says of a Connect worker's lines that have no effect that each is taken with a warning that says why.
func TestLinesWithoutEffectSayWhy(t *testing.T) {
	values := map[string]string{"connect.protocol": "sessioned", "inter.worker.key.generation.algorithm": "HmacSHA256",
		"inter.worker.signature.algorithm": "HmacSHA256", "inter.worker.verification.algorithms": "HmacSHA256",
		"metrics.recording.level": "INFO", "plugin.discovery": "hybrid_warn",
		"internal.key.converter.schemas.enable": "false", "internal.value.converter.schemas.enable": "false"}
	found := 0
	for _, spec := range workerSettings {
		key, reason := spec.Name, (&Worker{}).noEffect(&spec)
		if reason == "" {
			continue
		}
		found++
		value := values[key]
		if value == "" {
			value = "25000"
		}
		entries, problems := Read("w.properties", []byte(key+"="+value+"\n"))
		if problems != nil {
			t.Fatal(problems)
		}
		_, problems = NewWorker("", entries, nil, nil)
		want := "w.properties:1: " + key + ": warning: has no effect: " + reason
		if len(problems) != 1 || problems[0].String() != want {
			t.Errorf("expected %q, found %v", want, problems)
		}
	}
	if found != 31 {
		t.Errorf("expected 31 settings without effect, found %d", found)
	}
}
