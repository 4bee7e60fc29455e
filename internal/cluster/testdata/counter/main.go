// Counter is a source for the simulation of a group: each task counts, one row a page, and asks for a page by the
// number of the row, which has the service forget the rows before it where the connector claims something.
package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

func init() { source.Register(counter{source.Pages(pages{})}) }

func main() {}

// counter shares its work out among tasks, and asks the service which life of a task it is.
type counter struct{ source.Plugin }

func (counter) Plan(_ string, settings []wit.Setting, most uint32) (wit.PlanResult, error) {
	layout := wit.PlanResult{ExactlyOnce: wit.Support{Unsupported: wit.Ptr("nobody asks for it")}}
	if claim := value(settings, "counter.claim"); claim != "" {
		layout.Claims = []string{claim}
	}
	// The port is another one for each worker: plans are the same.
	settings = slices.DeleteFunc(slices.Clone(settings), func(s wit.Setting) bool { return s.Name == "counter.port" })
	// With another number of tasks a partition is another task's, whose producer has another transactional id.
	for n := range min(uint32(number(settings, "counter.tasks")), most) {
		layout.Tasks = append(layout.Tasks, append([]wit.Setting{{Name: "counter.task", Value: strconv.Itoa(int(n))}},
			settings...))
	}
	slices.Reverse(layout.Tasks)
	return layout, nil
}

func (c counter) Open(component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	if answers == nil {
		return wit.SourceOpenResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Tag: "life", Method: "GET",
			Target: "/open?" + query(settings).Encode(), Repeatable: true}}}}, nil
	}
	settings = append(slices.Clone(settings), wit.Setting{Name: "counter.life", Value: string(answers[0].Body)})
	opening, err := c.Plugin.Open(component, settings, state, answers)
	if err == nil {
		opening.Ready.Feeds[0].Partition = []wit.OffsetEntry{wit.StringEntry("task", value(settings, "counter.task"))}
	}
	return opening, err
}

func (c counter) Next(context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	step, err := c.Plugin.Next(context, feed, offset, cause, now)
	if step.Fetch != nil {
		step.Fetch.Acknowledges = strings.Contains(step.Fetch.Request.Target, "claim=")
	}
	return step, err
}

type pages struct{}

func (pages) Describe() wit.Description {
	own := func(name string, kind wit.SettingKind, more ...wit.Rule) wit.ConfigKey {
		return setting.Define("counter."+name, kind, wit.Low, nil, name, more...)
	}
	return wit.Description{Name: "counter", Version: "1.0.0", Components: []wit.Component{{Name: "test.CounterSource",
		Kind: wit.ComponentSource, Settings: []wit.ConfigKey{own("scheme", wit.KindString, setting.Role(role.Scheme)),
			own("address", wit.KindString, setting.Role(role.Address)),
			own("port", wit.KindInt, setting.Role(role.Port)),
			own("tasks", wit.KindInt), own("task", wit.KindInt), own("connector", wit.KindString),
			own("claim", wit.KindString)}}}}
}

func (pages) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

// value is a setting's, "" for none.
func value(settings []wit.Setting, name string) string {
	for _, s := range settings {
		if s.Name == name {
			return strings.Clone(s.Value)
		}
	}
	return ""
}

func number(settings []wit.Setting, name string) int {
	n, _ := strconv.Atoi(value(settings, name))
	return n
}

func query(settings []wit.Setting) url.Values {
	q := url.Values{}
	for _, name := range []string{"connector", "task", "life", "claim"} {
		if v := value(settings, "counter."+name); v != "" {
			q.Set(name, v)
		}
	}
	return q
}

func (pages) Feeds(_ string, settings []wit.Setting) ([]source.Feed, error) {
	q := query(settings)
	return []source.Feed{{Name: "rows", Topic: "rows", Identity: q.Get("connector") + q.Get("task"),
		PollEvery: 4 * time.Second,
		Request: func(at source.Offset) (wit.Request, error) {
			n, _ := at["n"].(int64)
			q.Set("n", strconv.FormatInt(n, 10))
			return wit.Request{Target: "/rows?" + q.Encode()}, nil
		},
		Read: func(at source.Offset, answer wit.Response) (source.Page, error) {
			n, _ := at["n"].(int64)
			return source.Page{Records: []source.Record{{Value: string(answer.Body)}},
				Next: source.Offset{"n": n + 1}}, nil
		}}}, nil
}
