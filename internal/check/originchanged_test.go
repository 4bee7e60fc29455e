package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// A source whose stored offsets belong to another origin, destination or SAP client is rejected with the setting that
// lets it continue. It is accepted if each of its sets has that setting, or if the offsets belong to the new origin.
func TestOffsetsOfAnotherOriginAreRejected(t *testing.T) {
	spec := func(name, role string) wit.ConfigKey {
		return setting.Define(name, wit.KindString, wit.Low, nil, "", setting.Role(role))
	}
	component := wit.Component{Kind: wit.ComponentSource, Name: "a", Settings: []wit.ConfigKey{
		spec("a.scheme", role.Scheme), spec("a.host", role.Address), spec("a.port", role.Port),
		spec("a.client", role.Header+"sap-client"), spec("a.destination", role.Destination),
		spec("a#{n}.topic", role.SourceTopic), spec("a#{n}.change", role.SourceChanged)}}
	source := plugin.NewComponent(&component)
	connector := func(lines ...string) *resolved.Connector {
		var entries []config.Entry
		for _, line := range append([]string{"a#00.topic=t", "a#01.topic=u"}, lines...) {
			key, value, _ := strings.Cut(line, "=")
			entries = append(entries, config.NewEntry(key, value, "f", len(entries)+1))
		}
		return resolved.Resolver{}.ResolveAs(&config.Connector{Name: "c", File: "f", Entries: entries}, source)
	}
	previous := connector("a.scheme=http", "a.host=H", "a.port=8000")
	const stored = "set=/p/S origin=http://h:8000 user=http mode=delta"
	const both = "a#00.change a#01.change"
	same := []string{"a.scheme=http", "a.host=h", "a.port=8000"}
	for name, test := range map[string]struct {
		lines  []string
		stored string // fingerprint
		want   string // the settings that the problems name
	}{
		"another port":   {lines: []string{"a.scheme=http", "a.host=h", "a.port=8001"}, stored: stored, want: both},
		"another scheme": {lines: []string{"a.host=h", "a.port=8000"}, stored: stored, want: both},
		"another host":   {lines: []string{"a.scheme=http", "a.host=g", "a.port=8000"}, stored: stored, want: both},
		"same system":    {lines: []string{"a.scheme=HTTP", "a.host=h", "a.port=8000"}, stored: stored},
		"one set continues": {lines: []string{"a.host=g", "a#00.change=keep", "a#01.change=Fail"}, stored: stored,
			want: "a#01.change"},
		"both sets decided": {lines: []string{"a.host=g", "a#00.change=keep", "a#01.change=reload"},
			stored: stored},
		"origin of the offsets": {lines: []string{"a.host=g"}, stored: "origin=https://g set=/p/S"},
		"no stored offset":      {lines: []string{"a.host=g"}},
		"unknown fingerprint":   {lines: []string{"a.host=g"}, stored: "h:8000 https://"},
		"no address":            {lines: []string{"a#00.change=fail"}, stored: stored},
		"new client":            {lines: append(same, "a.client=200"), stored: stored + " client=", want: both},
		"another client":        {lines: append(same, "a.client=200"), stored: stored + " client=100", want: both},
		"client of the offsets": {lines: append(same, "a.client=200"), stored: stored + " client=200"},
		"new client, decided": {lines: append(same, "a.client=200", "a#00.change=keep", "a#01.change=keep"),
			stored: stored + " client="},
		"new client, offsets without clients": {lines: append(same, "a.client=200"), stored: stored},
		"new destination":                     {lines: []string{"a.destination=D"}, stored: stored, want: both},
		"another destination": {lines: []string{"a.destination=D"}, stored: "origin=destination:http://h:8000",
			want: both},
		"destination of the offsets": {lines: []string{"a.destination=D"}, stored: "origin=destination:D"},
	} {
		problems, err := OriginChanged(previous, connector(test.lines...), func() ([]string, error) {
			return []string{"no origin", test.stored}, nil
		})
		var settings []string
		for _, p := range problems {
			settings = append(settings, p.Setting)
			isClientMissing := strings.Contains(name, "client") && !strings.Contains(p.Text, "client 200")
			assert.True(t, p.File == "f" && strings.Contains(p.Text, p.Setting+"=keep") &&
				strings.Contains(p.Text, "http://h:8000") && !isClientMissing,
				"%s: expected the setting, the origin and the client to be named, found %v", name, p)
		}
		got := strings.Join(settings, " ")
		assert.True(t, err == nil && got == test.want, "%s: expected %q, found %q (%v)", name, test.want, got, err)
	}
	if _, err := OriginChanged(previous, connector("a.host=g"), func() ([]string, error) {
		return nil, errors.New("no brokers")
	}); err == nil {
		t.Error("expected an error if stored offsets are unavailable")
	}
	component.Settings = component.Settings[:len(component.Settings)-1] // without a#{n}.change
	source = plugin.NewComponent(&component)
	problems, _ := OriginChanged(previous, connector("a.host=g"), nil)
	assert.True(t, problems == nil, "expected no problems for a plugin without that setting, found %v", problems)
}
