package check_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/check/checktest"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// A template names every setting, is read as a properties file, and lacks what it says is required and nothing else.
func TestTemplate(t *testing.T) {
	component := wit.Component{Name: "test.ShopSource", Kind: wit.ComponentSource,
		Documentation: "Rows of a shop.\nname=evil", Prefixes: []string{"shop."},
		Settings: []wit.SettingSpec{
			setting.Spec("shop.address", wit.KindText, wit.High, nil, "Its host.\u2028x=y", setting.Required(),
				setting.Role("http.address")),
			setting.Spec("shop.password", wit.KindPassword, wit.High, setting.Is("s3cret"), "Its password.",
				setting.Role("http.password")),
			setting.Spec("shop.size", wit.KindInt, wit.Low, setting.Is("5"),
				strings.Repeat("How many of them there are. ", 9), setting.AtLeast(1), setting.AtMost(9)),
			setting.Spec("shop#{n}.table", wit.KindText, wit.Low, nil, "A table.", setting.Required(),
				setting.In("Table {n}")),
			setting.Spec("shop.path", wit.KindText, wit.Low, setting.Is(`C:\shop #1`), "Where.",
				setting.Allowed(`C:\shop #1`, "x")),
		}}
	var text bytes.Buffer
	require.NoError(t, check.Template(&text, component))
	assert.Contains(t, text.String(), "\nshop.address=\n", "\n#shop.size=5\n", "(int, at least 1, at most 9)",
		"\n#shop#00.table=\n", "# --- Table 00 ---", "\n#shop.password=\n", "connector.class=test.ShopSource\n",
		"\n#tasks.max=1\n", "(required, string)")
	for line := range strings.Lines(text.String()) {
		if len(line) > 101 {
			t.Errorf("expected lines of at most 100 bytes, found %q", line)
		}
	}
	entries, problems := config.Read("c.properties", text.Bytes())
	if len(problems) > 0 || len(entries) != 3 {
		t.Errorf("expected name, class and address, found %v, %v", entries, problems)
	}
	whole := strings.ReplaceAll(text.String(), "\n#shop", "\nshop")
	entries, problems = config.Read("c.properties", []byte(whole))
	values := map[string]string{}
	for _, e := range entries {
		values[e.Key] = e.Raw
	}
	if len(problems) > 0 || values["shop.path"] != `C:\shop #1` || values["shop.size"] != "5" ||
		values["shop#00.table"] != "" {
		t.Errorf("found %v, %v", values, problems)
	}
	b := checktest.WithSpy(t)
	_, spy, err := check.Find(b.Checker.Plugins, "SpySource", "", wit.ComponentSource)
	require.NoError(t, err)
	text.Reset()
	require.NoError(t, check.Template(&text, spy))
	filled := strings.NewReplacer("\nspy.address=", "\nspy.address=localhost", "\nspy.port=",
		"\nspy.port=80").Replace(text.String())
	c := b.Connector(t, strings.Split(filled, "\n")...)
	if problems := b.Checker.Check(t.Context(), c); problems.Err() != nil {
		t.Errorf("expected a file that is whole with address and port, found %v", problems)
	}
}
