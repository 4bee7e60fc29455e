package check_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
)

// A setting that names a topic which the sink does not read is an error, and so is a topic that it reads and no setting
// names, unless a transform may change the topic of records or drop them. An unknown setting of a transform is a
// warning.
func TestUnreachableTopicIsAnError(t *testing.T) {
	b := checktest.New(t, map[string][]byte{"sink": guesttest.Bytes(t, "../../plugins/odata-sink"),
		"smt": guesttest.Bytes(t, "../../plugins/smt")})
	const kafka = "org.apache.kafka.connect.transforms."
	inserts := "\ntransforms=i\ntransforms.i.type=" + kafka + "InsertField$Value\ntransforms.i.static.field=x" +
		"\ntransforms.i.static.value=1"
	routes := "\ntransforms=r\ntransforms.r.type=" + kafka + "RegexRouter\ntransforms.r.regex=(.*)" +
		"\ntransforms.r.replacement=sap.$1"
	drops := "\ntransforms=f\ntransforms.f.type=" + kafka + "Filter\ntransforms.f.predicate=b\npredicates=b" +
		"\npredicates.b.type=" + kafka + "predicates.TopicNameMatches\npredicates.b.pattern=b"
	const setting, topics = "c.properties:7: sap.odata#00.topic: ", "c.properties:8: topics: "
	for name, test := range map[string]struct {
		lines string
		want  []string // empty: no problem
	}{
		"same topic": {lines: "topics=aa"},
		"another topic": {lines: "topics=A",
			want: []string{setting, `"aa"`, topics, `"A"`}},
		"topic unchanged by a transform":              {lines: "topics=A" + inserts, want: []string{setting, `"aa"`}},
		"topic changed by a transform":                {lines: "topics=A,b" + routes},
		"further topic":                               {lines: "topics=aa,b", want: []string{topics, `"b"`}},
		"records of the further topic may be dropped": {lines: "topics=aa,b" + drops},
		"regex matches":                               {lines: "topics.regex=aa|b"},
		"regex matches a part": {lines: "topics.regex=.?",
			want: []string{setting, `"aa"`, "topics.regex"}},
		"no topics, the sink reads its own": {lines: "tasks.max=1"},
		"unknown setting of a transform": {lines: "topics=aa" + inserts + "\ntransforms.i.static.feild=x",
			want: []string{
				"transforms.i.static.feild: warning: unknown setting; the nearest known one is static.field"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := "connector.class=ODataSink\nsap.odata.host.address=h\nsap.odata.host.port=1\n" +
				"sap.odata.host.protocol=http\nsap.odata#00.service=/s\nsap.odata#00.entityset=S\nsap.odata#00.topic=aa\n" +
				test.lines
			got := resolvedtest.Lines(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(text, "\n")...)))
			assert.Contains(t, got, test.want...)
			assert.True(t, test.want != nil || got == "", "expected nothing, found %s", got)
		})
	}
}
