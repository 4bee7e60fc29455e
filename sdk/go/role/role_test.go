package role

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

// page is what wit/roles.md says, row by row.
func page(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../../wit/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 5 && strings.HasPrefix(line, "| `") {
			cells[0] = strings.Trim(strings.TrimPrefix(cells[0], "| "), "`")
			rows = append(rows, cells)
		}
	}
	return rows
}

// The page for authors has each role of the host, and no other, with its kind and whether a default counts.
func TestPage(t *testing.T) {
	var said, known [][]string
	for _, cells := range page(t) {
		said = append(said, []string{strings.TrimSuffix(cells[0], "…"), cells[1], cells[2], strings.Trim(cells[3], "`")})
		if doc := strings.TrimSuffix(cells[4], " |"); len(doc) < 8 {
			t.Errorf("%s: expected what the host does with it, found %q", cells[0], doc)
		}
	}
	for _, r := range All {
		counts := "no"
		if r.Default {
			counts = "yes"
		}
		known = append(known, []string{r.Name, r.Kind.String(), counts, r.Own})
	}
	if diff := cmp.Diff(known, said); diff != "" {
		t.Errorf("(-host +page)\n%s", diff)
	}
}

// Roles that packages of the host ask for by name are in the list.
func TestRolesOfTheHost(t *testing.T) {
	literal := regexp.MustCompile(`"((?:http|tls|retry|sink|source|listener)\.[a-z.-]+)"`)
	found := 0
	for _, dir := range []string{"config", "connect", "transport", "doctor", "source", "sink"} {
		files, err := filepath.Glob("../../../host/" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range literal.FindAllStringSubmatch(string(text), -1) {
				name := match[1]
				group := strings.HasSuffix(name, ".") && len(name) > len("http.") || name == "http." || name == "tls." || name == "retry."
				if _, known := Find(name); !known && !group && !clientSetting[name] {
					t.Errorf("%s: the list has no role %s", file, name)
				}
				found++
			}
		}
	}
	if found < 40 {
		t.Errorf("expected the names of roles in the host's packages, found %d", found)
	}
}

// clientSetting are settings of Kafka clients that look like roles.
var clientSetting = map[string]bool{"retry.backoff.ms": true}

func setting(name string, kind wit.SettingKind, value string, roles ...string) wit.SettingSpec {
	s := wit.SettingSpec{Name: name, Kind: kind}
	for _, r := range roles {
		s.Rules = append(s.Rules, wit.Rule{Role: &r})
	}
	if value != "" {
		s.DefaultValue = &value
	}
	return s
}

func TestCheck(t *testing.T) {
	address := setting("a", wit.KindText, "", "http.address")
	for name, x := range map[string]struct {
		settings []wit.SettingSpec
		refused  bool
		want     string
	}{
		"nothing wrong":               {[]wit.SettingSpec{address, setting("h.{name}", wit.KindPassword, "", "http.header.{name}"), setting("p", wit.KindInt, "443", "http.port"), setting("t#{n}", wit.KindText, "", "source.topic")}, false, ""},
		"no address":                  {nil, false, "no setting has the role http.address: the host does not know where to send the requests of this source"},
		"unknown":                     {[]wit.SettingSpec{address, setting("p", wit.KindPassword, "", "http.proxi.password")}, false, "setting p: has the role http.proxi.password, which the host does not know: is it http.password? See wit/roles.md"},
		"secret without role":         {[]wit.SettingSpec{address, setting("p", wit.KindPassword, "")}, false, "setting p: is a password without a role: no plugin sees its value, and the host does nothing with it"},
		"two settings":                {[]wit.SettingSpec{address, setting("b", wit.KindText, "", "http.address")}, true, "setting b: has the role http.address, which a has: expected one setting for it"},
		"two roles":                   {[]wit.SettingSpec{address, setting("b", wit.KindPassword, "", "http.password", "http.header.x")}, true, "setting b: expected one role, found http.password, http.header.x"},
		"any role":                    {[]wit.SettingSpec{address, setting("b.{name}", wit.KindText, "", "http.{name}")}, true, "setting b.{name}: has the role http.{name}: expected no placeholder, but for http.header.{name} and http.query.{name} behind a name that ends with {name}"},
		"any setting":                 {[]wit.SettingSpec{address, setting("b.{name}", wit.KindText, "", "http.user")}, true, "setting b.{name}: stands for many settings and has the role http.user, which is for one"},
		"a password that is shown":    {[]wit.SettingSpec{setting("a", wit.KindPassword, "", "http.address")}, true, "setting a: is a password with the role http.address, whose values are shown: expected the kind text"},
		"a secret that is none":       {[]wit.SettingSpec{address, setting("b", wit.KindText, "", "http.password")}, false, "setting b: has the role http.password: expected the kind password; no plugin sees its value"},
		"kind":                        {[]wit.SettingSpec{address, setting("b", wit.KindBoolean, "", "http.port")}, false, "setting b: has the role http.port: expected the kind int or long"},
		"a default that leads away":   {[]wit.SettingSpec{setting("a", wit.KindText, "evil", "http.address")}, false, `setting a: its default "evil" does not count: http.address comes from the user alone`},
		"a default instead of ours":   {[]wit.SettingSpec{address, setting("b", wit.KindText, "http", "http.scheme")}, false, `setting b: its default "http" does not count: http.scheme comes from the user alone, else it is https`},
		"a default that is ours":      {[]wit.SettingSpec{address, setting("b", wit.KindText, "https", "http.scheme")}, false, ""},
		"a default that does no harm": {[]wit.SettingSpec{address, setting("b", wit.KindInt, "7", "retry.max")}, false, ""},
	} {
		found := Check(&wit.Component{Kind: wit.ComponentSource, Settings: x.settings})
		text := ""
		for _, f := range found {
			text += f.String()
			if f.Refused != x.refused {
				t.Errorf("%s: expected refused %v, found %+v", name, x.refused, f)
			}
		}
		if text != x.want {
			t.Errorf("%s: expected %q, found %q", name, x.want, text)
		}
	}
	if found := Check(&wit.Component{Kind: wit.ComponentTransformation, Settings: []wit.SettingSpec{address}}); len(found) != 1 || !found[0].Wrong || found[0].Refused {
		t.Errorf("found %v", found)
	}
}
