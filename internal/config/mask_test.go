package config

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func TestMaskedSettings(t *testing.T) {
	declarations := Declare(
		wit.ConfigKey{Name: "shop.key", Kind: wit.KindPassword},
		wit.ConfigKey{Name: "shop.word.pwd", Kind: wit.KindString},
		wit.ConfigKey{Name: "shop.header.{name}", Kind: wit.KindPassword})
	stored := map[string]string{
		"name":                               "c",
		"shop.key":                           "k3y",
		"shop.word.pwd":                      "no secret",
		"shop.header.APIKey":                 "h3ader",
		"other.password":                     "p",
		"other.SECRET":                       "${file:/s:x}",
		"empty.pwd":                          "",
		"producer.override.sasl.jaas.config": "j",
		"consumer.override.ssl.keystore.password":              "p",
		"admin.override.client.id":                             "me",
		"value.converter.schema.registry.basic.auth.user.info": "u:p",
		"transforms.x.spec":                                    "a:b",
	}
	masked := MaskPasswords(stored, func(key string) bool { return IsPassword(key, declarations) })
	want := map[string]string{
		"name":                               "c",
		"shop.key":                           Mask,
		"shop.word.pwd":                      "no secret",
		"shop.header.APIKey":                 Mask,
		"other.password":                     Mask,
		"other.SECRET":                       Mask,
		"empty.pwd":                          "",
		"producer.override.sasl.jaas.config": Mask,
		"consumer.override.ssl.keystore.password":              Mask,
		"admin.override.client.id":                             "me",
		"value.converter.schema.registry.basic.auth.user.info": Mask,
		"transforms.x.spec":                                    "a:b",
	}
	assert.Equal(t, want, masked)
	assert.True(t, stored["shop.key"] == "k3y", "expected the stored settings not to change")

	// A masked configuration that is sent back is stored with the original values and the changes.
	masked["name"] = "d"
	restored, err := RestoreMasked(masked, stored)
	require.NoError(t, err)
	stored["name"] = "d"
	assert.Equal(t, stored, restored)
	_, err = RestoreMasked(map[string]string{"b.pwd": Mask, "a.pwd": " " + Mask, "c": "x"}, map[string]string{"c": "y",
		"b.pwd": Mask})
	assert.True(t, err != nil && strings.HasPrefix(err.Error(), "a.pwd, b.pwd: expected a value, found [hidden]"),
		"expected the settings to be named, found %v", err)
	if restored, err := RestoreMasked(map[string]string{"a": "x" + Mask}, nil); err != nil || restored["a"] != "x"+Mask {
		t.Errorf("expected a value that contains the mask not to count as masked: %v, %v", restored, err)
	}
}

// A setting is a secret if any component declares it as one, or, if none declares it, by its name.
func TestSecretsOfAnyDeclaration(t *testing.T) {
	others := Declare(declared("shop.key", wit.KindPassword, "", ""), declared("shop.header.{name}", wit.KindPassword,
		"", "", setting.Role("http.header.{name}")))
	pluginSettings := Declare(
		declared("shop.key", wit.KindString, "", ""),                                  // a password in another plugin
		declared("shop.token", wit.KindString, "", "", setting.Role("http.password")), // its own role is secret
		declared("shop.store", wit.KindString, "", "", setting.Role("tls.keystore.key-password")),
		declared("shop.set.password", wit.KindString, "", ""), // declared, but never as a secret
		declared("shop.header.a{name}", wit.KindString, "", ""), declared("shop.free.{name}", wit.KindString, "", ""),
		declared("shop.plain", wit.KindString, "", "", setting.Alias("shop.key")))
	for key, want := range map[string]bool{
		"shop.key":           true,
		"shop.token":         true,
		"shop.store":         true,
		"shop.set.password":  false,
		"shop.header.apikey": true,
		"shop.plain":         false,
		"shop.free.word":     false,
		"shop.free.db.pwd":   true,
		"shop.unknown":       false,
		"shop.usr.pwd":       true,
		"Password":           true,
		"shop.client.SECRET": true,
		"shop.secrets":       false,
	} {
		got := IsSecret(key, pluginSettings, others)
		assert.True(t, got == want, "%s: expected a secret: %t, found %t", key, want, got)
	}
}

// Without a worker file, REST listens on this machine only.
func TestListenersAreLocalByDefault(t *testing.T) {
	for file, want := range map[string]string{"": "http://127.0.0.1:8083", "worker.properties": "http://:8083"} {
		w, _ := NewWorker(file, nil, nil, nil)
		got := strings.Join(w.List("listeners"), ",")
		assert.True(t, got == want && !w.IsSet("listeners"), "file %q: expected %s, found %s", file, want, got)
	}
	w, _ := NewWorker("", nil, []string{"CULVERT_LISTENERS=http://:1"}, nil)
	assert.Equal(t, "http://:1", w.Text("listeners"), "the specified listeners")
}
