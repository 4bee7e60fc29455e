package resolved

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/wit"
)

// Transforms are in the order of their list, with their predicates.
func TestStages(t *testing.T) {
	c := resolvedtest.Connector(t, `transforms=a, b
predicates=p
transforms.a.type=A
transforms.a.predicate=p
transforms.a.negate=true
transforms.a.field=x
transforms.b.type=B
predicates.p.type=P
predicates.p.pattern=y`)
	named := func(class string) Class { return Class{PluginClass: PluginClass{Class: class}, Component: noComponent} }
	predicate := &Stage{Kind: wit.ComponentPredicate, Alias: "p", Class: named("P"), Prefix: "predicates.p."}
	want := Stages{
		Transforms: []*Stage{
			{Kind: wit.ComponentTransformation, Alias: "a", Class: named("A"), Prefix: "transforms.a.",
				Predicate: predicate, Negate: true},
			{Kind: wit.ComponentTransformation, Alias: "b", Class: named("B"), Prefix: "transforms.b."},
		},
		Predicates: []*Stage{predicate},
		Prefixes:   []string{"transforms.a.", "transforms.b.", "predicates.p."},
	}
	stages := readStages(c)
	diff := cmp.Diff(want, stages, cmp.Comparer(func(a, b *plugin.Component) bool { return a == b }))
	assert.True(t, diff == "", "(-want +got)\n%s", diff)
	stageConfig := Resolver{}.Resolve(c).StageConfig(stages.Transforms[0])
	assert.Equal(t, map[string]string{"name": "c", "field": "x"}, stageConfig.Raw())
}

// The problems of transforms and predicates are in the order of the transforms. As in Kafka Connect, negate requires a
// predicate, also with the value false.
func TestInvalidStages(t *testing.T) {
	const withoutPredicate = "c.properties:3: transforms.a.negate: Config 'transforms.a.negate' was provided but " +
		"there is no config 'transforms.a.predicate' defining a predicate to be negated."
	for name, test := range map[string]struct{ text, want string }{
		"all": {
			text: "transforms=a,b,a\ntransforms.a.type=A\ntransforms.a.predicate=q\ntransforms.b.negate=maybe\n" +
				"transforms.b.predicate=p\npredicates=p\npredicates.p.type=P",
			want: "c.properties:1: transforms: Invalid value [a, b, a] for configuration transforms: Duplicate alias " +
				"provided.\n" +
				"c.properties:3: transforms.a.predicate: expected one of the predicates (p), found \"q\"\n" +
				"c.properties:1: transforms.b.type: Missing required configuration \"transforms.b.type\" which has " +
				"no default value.\n" +
				"c.properties:4: transforms.b.negate: Invalid value maybe for configuration transforms.b.negate: " +
				"Expected value to be either true or false",
		},
		"no list of predicates": {
			text: "transforms=a\ntransforms.a.type=A\ntransforms.a.predicate=q",
			want: `c.properties:3: transforms.a.predicate: there is no predicate "q": expected predicates=q`,
		},
		"negated, without a predicate": {
			text: "transforms=a\ntransforms.a.type=A\ntransforms.a.negate=true",
			want: withoutPredicate,
		},
		"not negated, without a predicate": {
			text: "transforms=a\ntransforms.a.type=A\ntransforms.a.negate=false",
			want: withoutPredicate,
		},
	} {
		resolvedtest.ExpectLines(t, name, test.want, readStages(resolvedtest.Connector(t, test.text)).Problems)
	}
}

// Problems and settings of transforms repeat an alias, but no long one, and no list of them.
func TestAliasesAreBounded(t *testing.T) {
	longestAlias := strings.Repeat("p", maxAliasBytes)
	for list, want := range map[string]string{
		"transforms": "c.properties:1: transforms: expected names of at most 250 bytes, found one of 251",
		"predicates": "c.properties:1: predicates: expected names of at most 250 bytes, found one of 251",
	} {
		c := resolvedtest.Connector(t, list+"=a,"+longestAlias+"\n"+list+".a.type=A\n"+list+"."+longestAlias+".type=P")
		require.NoError(t, readStages(c).Problems.Err())
		c = resolvedtest.Connector(t, list+"=a,"+longestAlias+"p,b\n"+list+".a.type=A\n"+list+"."+longestAlias+"p.type=P")
		stages := readStages(c)
		resolvedtest.ExpectLines(t, list, want, stages.Problems)
		assert.Len(t, 0, stages.All(), list)
	}
	var b strings.Builder
	b.WriteString("predicates=" + longestAlias[2:] + "10")
	for i := range maxStages / 2 {
		fmt.Fprintf(&b, ",%s%d", longestAlias[2:], i)
	}
	aliases := b.Len()
	b.WriteString("\ntransforms=t")
	for i := range maxStages/2 - 2 {
		fmt.Fprintf(&b, ",t%d", i)
	}
	for i := range maxStages/2 - 2 {
		fmt.Fprintf(&b, "\ntransforms.t%d.predicate=x", i)
	}
	size := 0
	unknown := 0
	for _, p := range readStages(resolvedtest.Connector(t, b.String())).Problems {
		if strings.HasPrefix(p.Text, "expected one of the predicates (ppp") {
			unknown++
			size += len(p.Text)
		}
	}
	assert.True(t, unknown == maxStages/2-2 && size <= 2*aliases,
		"expected %d unknown predicates in at most %d bytes, found %d in %d", maxStages/2-2, 2*aliases, unknown, size)
}

// A connector has a bounded number of transforms and predicates together. Aliases are compared in linear time.
func TestStagesAreBounded(t *testing.T) {
	lines := func(transforms, predicates int) string {
		var b strings.Builder
		for _, list := range []struct {
			name  string
			count int
		}{{"transforms", transforms}, {"predicates", predicates}} {
			b.WriteString(list.name + "=")
			for i := range list.count {
				fmt.Fprintf(&b, "a%d,", i)
			}
			b.WriteString("z\n")
		}
		return b.String()
	}
	for _, test := range []struct {
		// besides one of each
		transforms int
		predicates int
		want       string
	}{
		{transforms: maxStages - 2},
		{transforms: maxStages - 1,
			want: "c.properties:1: transforms: expected at most 200 transforms and predicates together, found 201"},
		{transforms: 100, predicates: 100,
			want: "c.properties:1: transforms: expected at most 200 transforms and predicates together, found 202"},
		{transforms: 100_000,
			want: "c.properties:1: transforms: expected at most 200 transforms and predicates together, found 100002"},
	} {
		c := resolvedtest.Connector(t, lines(test.transforms, test.predicates))
		stages := readStages(c)
		if test.want != "" {
			resolvedtest.ExpectLines(t, test.want, test.want, stages.Problems)
		}
		isRejected := test.want != ""
		assert.True(t, isRejected == (len(stages.Transforms) == 0) && len(stages.Predicates) <= maxStages,
			"%d and %d: expected a rejection: %t, found %d transforms, %d predicates", test.transforms,
			test.predicates, isRejected, len(stages.Transforms), len(stages.Predicates))
	}
	c := resolvedtest.Connector(t, lines(-1, maxStages))
	c.Entries = slices.DeleteFunc(c.Entries, func(entry config.Entry) bool { return entry.Key == "transforms" })
	resolvedtest.ExpectLines(t, "predicates only", "c.properties:2: predicates: expected at most 200 transforms and "+
		"predicates together, found 201", readStages(c).Problems)
}

func TestPluginClasses(t *testing.T) {
	c := resolvedtest.Connector(t, "connector.class=C\nconnector.plugin.version=2\ntransforms=a,b\ntransforms.a.type=A\n"+
		"transforms.a.predicate=p\ntransforms.b.type=A\npredicates=p,unused\npredicates.p.type=P\n"+
		"predicates.p.plugin.version=3\npredicates.unused.type=U")
	assert.Equal(t, []PluginClass{{"C", "2"}, {"A", ""}, {"P", "3"}}, PluginClasses(c))
}

// A converter that the connector does not name is the worker's, with the worker's settings.
func TestConverterOfWorker(t *testing.T) {
	resolver := Resolver{Worker: resolvedtest.Worker(t, "key.converter.schemas.enable=false")}
	connector := resolver.Resolve(resolvedtest.Connector(t, "value.converter=own\nvalue.converter.a=1"))
	class, settings := connector.Converter(KeyConverter)
	assert.True(t, class == config.JSONConverter && settings["schemas.enable"] == "false",
		"expected the worker's key converter, found %s %v", class, settings)
	class, settings = connector.Converter(ValueConverter)
	assert.True(t, class == "own" && fmt.Sprint(settings) == "map[a:1]",
		"expected the connector's value converter, found %s %v", class, settings)
}

// An expression that times out is an error that names it, not a mismatch.
func TestExpressionTimeoutIsReported(t *testing.T) {
	p, err := pattern.Compile("(a|aa)+b")
	require.NoError(t, err)
	topic := strings.Repeat("a", 200)
	_, err = MatchesTopic(p, topic)
	assert.Error(t, err, topic, "names the topic")
	isMatch, err := MatchesTopic(p, "aab")
	assert.True(t, err == nil && isMatch, "expected aab to match, found %t, %v", isMatch, err)
}
