package setting

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
)

// roles is the fixed list of what hosts use settings for.
var roles = strings.Fields(`http.scheme http.address http.port http.user http.password http.connect-timeout-ms http.read-timeout-ms
	http.auth http.client-in http.destination http.logoff-path http.max-connections http.max-concurrent http.requests-per-second http.maintenance-windows
	tls.keystore.location tls.keystore.password tls.keystore.type tls.keystore.key-password tls.keystore.alias
	tls.truststore.location tls.truststore.password tls.truststore.type tls.protocol tls.allow-legacy
	retry.codes retry.max retry.min-backoff-ms retry.max-backoff-ms sink.flush.rows sink.flush.interval-ms sink.in-flight sink.uncertain
	listener.ports listener.address`)

func TestDestinationByRole(t *testing.T) {
	table := &Table{}
	table.Destination()
	seen := map[string]bool{}
	for _, s := range table.Specs {
		role := s.Role()
		known := role == "" || strings.HasPrefix(role, "http.header.") || strings.HasPrefix(role, "http.oauth.") || strings.HasPrefix(role, "http.proxy.")
		for _, r := range roles {
			known = known || r == role
		}
		if !known {
			t.Errorf("%s: the host knows no role %s", s.Name, role)
		}
		if role != "" && seen[role] {
			t.Errorf("%s: role %s is given twice", s.Name, role)
		}
		seen[role] = true
		if s.Kind == wit.KindPassword && role == "" {
			t.Errorf("%s: a password that nobody but the host may see needs a role", s.Name)
		}
		if s.Documentation == "" {
			t.Errorf("%s: no documentation", s.Name)
		}
	}
	for _, r := range []string{"http.scheme", "http.address", "http.port", "http.user", "http.password", "http.connect-timeout-ms", "http.read-timeout-ms",
		"retry.codes", "retry.max", "retry.min-backoff-ms", "retry.max-backoff-ms", "http.header.sap-client", "http.header.sap-language"} {
		if !seen[r] {
			t.Errorf("no setting has role %s", r)
		}
	}
}

func table() *Table {
	t := &Table{}
	t.Declare(Spec("sap.odata.mode", wit.KindText, wit.High, Is("one"), "", Allowed("one", "two")), Spec("sap.odata.size", wit.KindInt, wit.High, Is("5"), "", AtLeast(1)),
		Spec("sap.odata#{n}.name", wit.KindText, wit.High, nil, "", Required()), Spec("sap.odata#{n}.size", wit.KindInt, wit.High, nil, "", AtLeast(1)),
		Spec("sap.odata#{n}.part#{m}.low", wit.KindText, wit.High, nil, ""))
	t.Later(Spec("sap.odata.secret", wit.KindPassword, wit.Low, nil, "x."))
	t.Later(Spec("sap.odata.enable", wit.KindText, wit.Low, nil, "x."), "0")
	t.Restrict("sap.odata.mode", "one")
	return t
}

func settingsOf(lines ...string) []wit.Setting {
	var list []wit.Setting
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return list
}

func TestExamine(t *testing.T) {
	for _, c := range []struct{ settings, setting, message string }{
		{"sap.odata.mode=ONE sap.odata#00.name=x sap.odata.enable=0", "", ""},
		{"sap.odata#7.name=x sap.odata#007.name=y", "", ""},
		{"sap.odata.mode=two", "sap.odata.mode", "Value two for configuration sap.odata.mode is not built yet; built: one"},
		{"sap.odata.mode=three", "sap.odata.mode", "Invalid value three for configuration sap.odata.mode: String must be one of: one, two"},
		{"sap.odata.size=x", "sap.odata.size", "Invalid value x for configuration sap.odata.size: Not a number of type INT"},
		{"sap.odata#00.size=5", "sap.odata#00.name", "Missing required configuration \"sap.odata#00.name\" which has no default value."},
		{"sap.odata#00.name=x sap.odata#00.size=0", "sap.odata#00.size", "Invalid value 0 for configuration sap.odata#00.size: Value must be at least 1"},
		{"sap.odata.secret=hush", "sap.odata.secret", "Value [hidden] for configuration sap.odata.secret is not built yet; leave the setting out"},
		{"sap.odata.enable=1", "sap.odata.enable", "Value 1 for configuration sap.odata.enable is not built yet; built: 0"},
		{"sap.odata.moode=one", "sap.odata.moode", "Unknown configuration \"sap.odata.moode\"; the nearest known name is \"sap.odata.mode\""},
		{"sap.odata#01.nmae=one", "sap.odata#01.name", "Missing required"},
		{"sap.odata#0001.name=one", "sap.odata#0001.name", "Unknown configuration \"sap.odata#0001.name\"; the nearest known name"},
		{"sap.odata#01.name=x sap.odata#01.part#02.low=1", "", ""},
		{"sap.odata#01.name=x sap.odata#01.part#02.high=1", "sap.odata#01.part#02.high", "Unknown configuration"},
		{"transforms=x name=y", "", ""},
	} {
		setting, message := "", ""
		if f := First(table().Examine(settingsOf(strings.Fields(c.settings)...))); f != nil {
			setting, message = *f.Setting, f.Message
		}
		if setting != c.setting || !strings.HasPrefix(message, c.message) || (c.message == "") != (message == "") {
			t.Errorf("%s: expected %s: %s, found %s: %s", c.settings, c.setting, c.message, setting, message)
		}
	}
}

func TestGroupsWin(t *testing.T) {
	v := table().Values(settingsOf("sap.odata.size=7", "sap.odata#01.size=9", "sap.odata#2.name=x"))
	for number, expected := range map[string]string{"01": "9", "2": "7"} {
		if found := v.Set(number, "size"); found != expected {
			t.Errorf("group %s: expected %s, found %s", number, expected, found)
		}
	}
	if found := table().Values(nil).Set("0", "size"); found != "5" {
		t.Errorf("expected the default, found %s", found)
	}
	if n := v.Number(v.SetName("01", "size")); n != 9 {
		t.Errorf("expected 9, found %d", n)
	}
	if g := v.Groups(); strings.Join(g, " ") != "01 2" {
		t.Errorf("expected groups 01 and 2, found %v", g)
	}
}
