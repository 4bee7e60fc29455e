package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/wit"
)

// A referenced secret is read again. A value in the file itself does not change.
func TestReferencedSecretIsReadAgain(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "secrets.properties")
	write(t, secrets, "logon=before")
	w := plainWorker(t, "bootstrap.servers=a:1\nsasl.jaas.config=${file:"+secrets+":logon}\nclient.id=me\n")
	write(t, secrets, "logon=after ")
	if value, ok := w.Current("sasl.jaas.config"); !ok || value != "after" || w.Text("sasl.jaas.config") != "before" {
		t.Errorf("expected after, found %q, %v", value, ok)
	}
	write(t, secrets, "other=x")
	value, ok := w.Current("sasl.jaas.config")
	assert.True(t, !ok, "expected nothing where the reference leads nowhere, found %q", value)
	for _, name := range []string{"client.id", "ssl.key.password"} {
		value, ok := w.Current(name)
		assert.True(t, !ok, "%s: expected nothing, found %q", name, value)
	}
}

// No message about a setting of type password shows its value.
func TestPasswordsAreNotShown(t *testing.T) {
	for _, s := range workerSettings {
		if strings.Contains(s.Name, "password") || (strings.Contains(s.Name, "secret") && s.Name != SecretsSetting) {
			text := CheckValue(&s, "hush-hush", true)
			assert.True(t, !strings.Contains(text, "hush-hush") && s.Kind == wit.KindPassword,
				"%s: kind %d, %q", s.Name, s.Kind, text)
		}
	}
}

// A security property is checked in the same way for all clients and with the prefix of one kind. The problem and its
// message do not depend on who reads it first.
func TestSecurityIsCheckedAlikeWithAndWithoutPrefix(t *testing.T) {
	wrong := 0
	for _, p := range kafka.ClientProperties() {
		if !HasPrefix(p.Name, []string{"ssl.", "sasl.", "security."}) {
			continue
		}
		for _, value := range []string{"", "junk", "-1", "GSSAPI", "12345678901", "TLSv1.3"} {
			first := ""
			for i, name := range []string{p.Name, "producer." + p.Name, "admin." + p.Name} {
				w, problems := NewWorker("w.properties", []Entry{
					NewEntry("bootstrap.servers", "a:1", "w.properties", 0),
					NewEntry(name, value, "w.properties", 0)}, nil, nil)
				text := ""
				if err := problems.Err(); err != nil {
					text = err.Error()
				} else if _, _, err := kafka.Parse(t.Context(), w.ValidSettings(problems)); err != nil {
					text = w.Locate(err).String()
				}
				text = strings.ReplaceAll(text, name, "NAME")
				if i == 0 {
					first = text
				} else if text != first {
					t.Errorf("%s=%s: expected %q as without a prefix, found %q", name, value, first, text)
				}
			}
			if first != "" {
				wrong++
			}
		}
	}
	assert.AtLeast(t, 20, wrong, "wrong values among them")
}

// A reference to an unknown config provider is never sent as a secret. In other settings it is used literally, as in
// Kafka Connect.
func TestUnknownProviderIsNeverSentAsSecret(t *testing.T) {
	for _, name := range []string{"sasl.jaas.config", "producer.sasl.jaas.config", "consumer.ssl.keystore.password",
		"admin.ssl.truststore.password", "listeners.https.ssl.key.password", "key.converter.basic.auth.user.info",
		"value.converter.schema.registry.ssl.keystore.password"} {
		entries, _ := Read("w.properties", []byte("bootstrap.servers=k:9092\n"+name+"=${vault:a:b}\n"))
		_, problems := NewWorker("w.properties", entries, nil, nil)
		expectLines(t, name, "w.properties:2: "+name+": looks like a reference to an unknown config provider: it is "+
			"not sent. Known providers: dir, env and file; the worker's config.providers declares others", problems)
	}
	for _, name := range []string{"producer.client.id", "key.converter.schema.registry.url"} {
		entries, _ := Read("w.properties", []byte("bootstrap.servers=k:9092\n"+name+"=${vault:a:b}\n"))
		_, problems := NewWorker("w.properties", entries, nil, nil)
		expectLines(t, name, "", problems)
	}
}
