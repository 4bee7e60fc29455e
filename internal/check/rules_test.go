package check

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// A sink creates a task for each that it may have, so the number is bounded, with Kafka Connect's message.
func TestSinkTasksAreBounded(t *testing.T) {
	for value, want := range map[string]bool{"1000": false, "1001": true, "2147483647": true} {
		isRejected := func(kind wit.ComponentKind) bool {
			connector := resolve(t, plugin.NewComponent(&wit.Component{Kind: kind}), "name=x\ntasks.max="+value+"\ntopics=t")
			return slices.ContainsFunc(settingsOf(connector).checkCommonRules(),
				func(p config.Problem) bool { return p.Setting == "tasks.max" })
		}
		if isRejected(wit.ComponentSink) != want || isRejected(wit.ComponentSource) {
			t.Errorf("%s: expected only a sink to be rejected: sink rejected %t, source rejected %t", value,
				isRejected(wit.ComponentSink), isRejected(wit.ComponentSource))
		}
	}
}

// countingContext is a context that is canceled after this many checks of it.
type countingContext struct {
	context.Context
	checks int
	limit  int
}

func (c *countingContext) Err() error {
	c.checks++
	if c.checks > c.limit {
		return context.Canceled
	}
	return nil
}

// A check stops with a problem when its context ends.
func TestCheckStopsWithContext(t *testing.T) {
	component := plugin.NewComponent(&wit.Component{Name: "c", Kind: wit.ComponentSource, Prefixes: []string{"mad."}})
	written := &config.Connector{}
	for i := range 1000 {
		written.Entries = append(written.Entries, config.NewEntry(fmt.Sprintf("mad.p%d", i), "1", "", 0))
	}
	connector := resolved.Resolver{}.ResolveAs(written, component)
	stage := &resolved.Stage{Prefix: "mad.", Class: resolved.Class{Component: component}}
	for name, check := range map[string]func(ctx context.Context) config.Problems{
		"connector": settingsOf(connector).problems,
		"stage":     func(ctx context.Context) config.Problems { return settingsOf(connector).checkStage(ctx, stage) },
	} {
		unlimited := &countingContext{Context: context.Background(), limit: 1 << 30}
		check(unlimited)
		assert.True(t, unlimited.checks >= len(connector.Entries),
			"%s: expected a check of the context for each of %d settings, found %d", name, len(connector.Entries),
			unlimited.checks)
		for _, limit := range []int{0, 100, unlimited.checks - 1} {
			problems := check(&countingContext{Context: context.Background(), limit: limit})
			n := len(problems)
			assert.True(t, n != 0 && n <= limit+1 && problems.Err() != nil &&
				strings.Contains(problems[n-1].Text, "context canceled"),
				"%s: expected the check to stop after %d settings with a problem, found %d problems", name, limit, n)
		}
	}
}

// The lists of aliases are parsed once for a check, not for each setting of a transform or predicate.
func TestAliasesAreParsedOnceForACheck(t *testing.T) {
	const count = 100
	component := plugin.NewComponent(&wit.Component{Name: "c", Kind: wit.ComponentSource})
	for _, list := range []string{"transforms", "predicates"} {
		for aliases, warnings := range map[string]int{strings.Repeat("a,", 150_000) + "a": 0, "a,b,a.q": 2 * count} {
			connector := &config.Connector{Entries: []config.Entry{config.NewEntry(list, aliases, "", 1)}}
			for i := range count {
				for _, alias := range []string{"a", "a.q", "qa", "q.a"} {
					key := fmt.Sprintf("%s.%s.%d", list, alias, i)
					connector.Entries = append(connector.Entries, config.NewEntry(key, "x", "", 2))
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			problems := settingsOf(resolved.Resolver{}.ResolveAs(connector, component)).problems(t.Context())
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 50<<20 {
				t.Errorf("%s: expected at most 50 MiB for a list of %d bytes and %d settings, found %d MiB", list,
					len(aliases), len(connector.Entries), used>>20)
			}
			noEffect := 0
			for _, p := range problems {
				if strings.HasPrefix(p.Text, "has no effect: "+list+" does not name q") {
					noEffect++
				}
			}
			assert.True(t, noEffect == warnings,
				"%s=%.9s: expected %d settings without effect, found %d", list, aliases, warnings, noEffect)
		}
	}
}

// With a declaration of thousands of long templates, the time to check a file with unknown keys does not grow with
// their product.
func TestHostileDeclarationsAreCheckedInTime(t *testing.T) {
	component := wit.Component{Name: "c", Kind: wit.ComponentSource, Prefixes: []string{"mad."}}
	for i := range 4_000 {
		component.Settings = append(component.Settings, wit.ConfigKey{Name: fmt.Sprintf("mad.%s%d.{a}.{b}",
			strings.Repeat("n", 150), i), Kind: wit.KindString})
	}
	for i := range 99 {
		component.Prefixes = append(component.Prefixes, fmt.Sprintf("p%d{a}.{b}", i))
	}
	connector := &config.Connector{}
	for i := range 500 {
		key := fmt.Sprintf("mad.%s%d.q", strings.Repeat("n", 140), i)
		connector.Entries = append(connector.Entries, config.NewEntry(key, "1", "", 0))
	}
	done := make(chan config.Problems, 1)
	go func() {
		source := resolved.Resolver{}.ResolveAs(connector, plugin.NewComponent(&component))
		done <- settingsOf(source).problems(t.Context())
	}()
	select {
	case problems := <-done:
		unknown := 0
		for _, p := range problems {
			if !p.Warning && strings.HasPrefix(p.Text, "unknown setting") {
				unknown++
			}
		}
		assert.Equal(t, len(connector.Entries), unknown, "unknown settings")
	case <-time.After(10 * time.Minute): // many times the usual duration; without a bound it is an hour
		t.Fatal("expected the check to end in time")
	}
}

// Kafka Connect's rules about topics of sinks are checked.
func TestSinkRules(t *testing.T) {
	sink := plugin.NewComponent(&wit.Component{Name: "x", Kind: wit.ComponentSink})
	for text, want := range map[string]string{
		"connector.class=x\ntopics=a\ntopics.regex=b": "c.properties:2: topics: topics and topics.regex are mutually " +
			"exclusive options, but both are set.\nc.properties:3: topics.regex: topics and topics.regex are " +
			"mutually exclusive options, but both are set.",
		"connector.class=x\ntopics.regex=a.*\nerrors.deadletterqueue.topic.name=ab": "c.properties:3: " +
			"errors.deadletterqueue.topic.name: expected a topic that topics.regex does not match, because dead " +
			"letters would be read as records, found \"ab\"",
		"connector.class=x\ntopics=a\nerrors.log.enable=true":  "",
		"connector.class=x\ntopics=a\nerrors.log.enable=FALSE": "",
	} {
		resolvedtest.ExpectLines(t, text, want, settingsOf(resolve(t, sink, text)).problems(t.Context()))
	}
}

// Each expression for topic creation is bounded, and so are all of them together.
func TestTopicCreationExpressionsAreBounded(t *testing.T) {
	for prefix, test := range map[string]struct{ include, want string }{
		"as many as there may be": {include: strings.Repeat("a,", maxTopicExpressions-1) + "a"},
		"one more": {include: strings.Repeat("a,", maxTopicExpressions) + "a",
			want: "c.properties:3: topic.creation.big.include: expected at most 10000 expressions of " +
				"topic.creation.* together, found more"},
	} {
		connector := resolve(t, resolvedtest.Shop(), "a=b\ntopic.creation.groups=big\ntopic.creation.big.include="+
			test.include)
		resolvedtest.ExpectLines(t, prefix, test.want, settingsOf(connector).checkTopicCreation())
	}
	sink := plugin.NewComponent(&wit.Component{Kind: wit.ComponentSink})
	connector := resolve(t, sink, "topics.regex="+strings.Repeat(`\\pL`, 60_000))
	problems := settingsOf(connector).checkCommonRules()
	assert.True(t, len(problems) == 1 &&
		strings.Contains(problems[0].Text, "Invalid regex: expected at most 1000 characters, found 180000"),
		"expected the expression to be too long, found %d problems %.300v", len(problems), problems)
}

// Only the user specifies where requests are sent and what secures them.
func TestEndpointDefaultsOfPluginsAreIgnored(t *testing.T) {
	component := plugin.NewComponent(&wit.Component{Settings: []wit.ConfigKey{
		resolvedtest.Declare("x.address", wit.KindString, "evil.example", setting.Role(role.Address)),
		resolvedtest.Declare("x.port", wit.KindInt, "8443", setting.Role(role.Port)),
		resolvedtest.Declare("x.scheme", wit.KindString, "http", setting.Role(role.Scheme)),
		resolvedtest.Declare("x.proxy", wit.KindString, "http", setting.Role(role.ProxyType)),
		resolvedtest.Declare("x.proxy.address", wit.KindString, "evil.example:1", setting.Role(role.ProxyAddress)),
		resolvedtest.Declare("x.tokens", wit.KindString, "https://evil.example", setting.Role(role.OAuthTokenEndpoint)),
		resolvedtest.Declare("x.trust", wit.KindString, "/tmp/evil.pem", setting.Role(role.TLSTrustStoreLocation)),
		resolvedtest.Declare("x.old", wit.KindString, "1", setting.Role(role.TLSAllowLegacy)),
		resolvedtest.Declare("x.destination", wit.KindString, "EVIL", setting.Role(role.Destination)),
		resolvedtest.Declare("x.host", wit.KindString, "evil", setting.Role(role.Header+"x-forwarded-host")),
		resolvedtest.Declare("x.user", wit.KindString, "evil", setting.Role(role.User)),
		resolvedtest.Declare("x.windows", wit.KindString, "* * * * * ?/24h", setting.Role(role.MaintenanceWindows)),
		resolvedtest.Declare("x.wait", wit.KindInt, "5", setting.Role(role.ReadTimeoutMS)),
		resolvedtest.Declare("x.unknown", wit.KindString, "evil", setting.Role("http.whatever")),
	}})
	r := resolve(t, component, "x.address=good.example").Roles()
	for _, name := range []string{"http.port", "http.scheme", "http.proxy.type", "http.proxy.address",
		"http.oauth.token-endpoint", "tls.truststore.location",
		"tls.allow-legacy", "http.destination", "http.header.x-forwarded-host", "http.user", "http.maintenance-windows",
		"http.whatever"} {
		assert.True(t, !r.Has(name) && !r.IsSet(name), "%s: expected nothing, found %q", name, r.Text(name))
	}
	if len(r.Prefix("http.header.")) > 0 || r.Text("http.address") != "good.example" ||
		r.Text("http.read-timeout-ms") != "5" {
		t.Errorf("expected no headers, the user's address and the plugin's timeout, found %v, %q, %q",
			r.Prefix("http.header."), r.Text("http.address"), r.Text("http.read-timeout-ms"))
	}
	withoutEndpoint := settingsOf(resolve(t, component, ""))
	withAddress := settingsOf(resolve(t, component, "x.address=a\nx.port=1"))
	text := resolvedtest.Lines(append(withoutEndpoint.checkAddress(), withAddress.ignoredDefaults(t.Context())...))
	want := `c.properties:1: x.address: Missing required configuration "x.address" which has no default value: the plugin's default "evil.example" is ignored, because only the user may decide where requests go
c.properties:1: x.port: Missing required configuration "x.port" which has no default value: the plugin's default "8443" is ignored, because only the user may decide where requests go
c.properties:1: x.scheme: warning: not set; the plugin's default "http" is ignored, because only the user may set http.scheme
c.properties:1: x.proxy: warning: not set; the plugin's default "http" is ignored, because only the user may set http.proxy.type
`
	assert.True(t, len(text) >= len(want) && text[:len(want)] == want, "expected\n%s\nfound\n%s", want, text)
}

// resolve returns the connector of a properties file, which has no problems, as one of the class of the component.
func resolve(t *testing.T, component *plugin.Component, text string) *resolved.Connector {
	t.Helper()
	resolver := resolved.Resolver{Worker: resolvedtest.Worker(t, "")}
	return resolver.ResolveAs(resolvedtest.Connector(t, text), component)
}

// settingsOf returns the check of the connector's settings, in a worker that has the built-in broker.
func settingsOf(connector *resolved.Connector) *settingsCheck {
	return (&Checker{Worker: connector.Worker, Embedded: true}).newSettingsCheck(connector)
}
