package inspect

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// manyRounds is more rounds than the host allows and than the commands need for the pages that they read.
const manyRounds = 120

// isDataFault checks that an error is a data error that contains these texts.
func isDataFault(t *testing.T, err error, texts ...string) {
	t.Helper()
	var f *wit.Error
	require.True(t, errors.As(err, &f) && f.Kind == wit.ErrorData, "expected a data error, found %v", err)
	assert.Contains(t, f.Message, texts...)
}

// answersOf returns the responses of a service whose pages are given by target.
func answersOf(need *wit.RequestBatch, page func(target string) string) (answers []wit.Response) {
	for _, r := range need.Requests {
		answers = append(answers, wit.Response{Tag: r.Tag, Target: r.Target, Status: 200, Body: []byte(page(r.Target))})
	}
	return answers
}

// TestSubscriptionsWithRepeatedLink: a next link to any page that was read already is a data error. The callback bounds
// the test, since such a loop needs no further rounds.
func TestSubscriptionsWithRepeatedLink(t *testing.T) {
	const first = "/s/Subs"
	for _, test := range []struct {
		name  string
		back  string
		links map[string]string
		query string
	}{
		{name: "a page that links to itself", back: first, links: map[string]string{first: "Subs"}},
		{name: "the second page links to the first", back: first,
			links: map[string]string{first: "Subs?$skiptoken=2", first + "?$skiptoken=2": "/s/Subs"}},
		{name: "the third page links to the second", back: first + "?$skiptoken=2",
			links: map[string]string{first: "Subs?$skiptoken=2", first + "?$skiptoken=2": "Subs?$skiptoken=3",
				first + "?$skiptoken=3": "Subs?$skiptoken=2"}},
		{name: "the link contains the client", back: first + "?sap-client=[hidden]", query: "sap-client=100",
			links: map[string]string{first + "?sap-client=100": "Subs?sap-client=100"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := []wit.Setting{}
			if test.query != "" {
				settings = append(settings, wit.Setting{Name: "sap.odata.sap.client", Value: "100"},
					wit.Setting{Name: "sap.odata.sap.client.in", Value: "query"})
			}
			var state []byte
			var answers []wit.Response
			calls := 0
			endless := errors.New("endless")
			for range manyRounds {
				prober, err := probe.Restore(edm.V2, state, answers)
				require.NoError(t, err)
				err = VisitSubscriptions(prober, sourceconfig.V2.Table.Values(settings), "/s", "Subs",
					func(*notifications.Subscription, ResolveFunc) error {
						calls++
						if calls > 100 {
							return endless
						}
						return nil
					})
				if !errors.Is(err, probe.ErrMissing) {
					isDataFault(t, err, "subscriptions of /s: expected a page that was not read yet, "+
						"found a link back to "+test.back+";", "in the service, then run")
					return
				}
				need := prober.MissingRequests()
				state = need.State
				answers = answersOf(need, func(target string) string {
					return fmt.Sprintf(`{"d":{"results":[{"ID":"1"}],"__next":%q}}`, test.links[target])
				})
			}
			t.Errorf("the list is incomplete after %d rounds", manyRounds)
		})
	}
}

// listed runs list-services with a service whose pages are given by target, in a bounded number of rounds.
func listed(page func(target string) string) (wit.CommandResult, error) {
	var state []byte
	var answers []wit.Response
	for range manyRounds {
		reply, err := Run("list-services", nil, nil, state, answers)
		if err != nil || reply.Pending == nil {
			return reply, err
		}
		state = reply.Pending.State
		answers = answersOf(reply.Pending, page)
	}
	return wit.CommandResult{}, fmt.Errorf("list-services is incomplete after %d rounds", manyRounds)
}

// TestServicesWithRepeatedLink: a next link to a page of the catalogue that was read already is a data error. Otherwise
// the list would contain thousands of copies of its services.
func TestServicesWithRepeatedLink(t *testing.T) {
	for name, link := range map[string]string{
		"a page that links to itself": "ServiceCollection?$skiptoken=1&apikey=hunter2",
		"a link to the first page":    "ServiceCollection?$format=json",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := listed(func(string) string {
				return `{"d":{"results":[{"TechnicalServiceName":"A","ServiceUrl":"/a"}],"__next":"` + link + `"}}`
			})
			path, _, _ := strings.Cut(link, "hunter2")
			isDataFault(t, err, "catalogue of services: expected a page that was not read yet, found a link back to "+
				"/sap/opu/odata/IWFND/CATALOGSERVICE;v=2/"+path)
			assert.True(t, !strings.Contains(err.Error(), "hunter2"), "the message shows a secret: %v", err)
		})
	}
}

// TestServicesWithEndlessLinks: reading ends even if the service's next link is always new.
func TestServicesWithEndlessLinks(t *testing.T) {
	n := 0
	_, err := listed(func(string) string {
		n++
		return fmt.Sprintf(`{"d":{"results":[],"__next":"ServiceCollection?$skiptoken=%d"}}`, n)
	})
	isDataFault(t, err, "expected at most 100 pages, found a link to one more", "$skiptoken=100")
}

// TestServicesOfSeveralPages: all pages with distinct links are listed.
func TestServicesOfSeveralPages(t *testing.T) {
	n := 0
	reply, err := listed(func(string) string {
		n++
		if n == 5 {
			return `{"d":{"results":[{"TechnicalServiceName":"LAST","ServiceUrl":"/l"}]}}`
		}
		return fmt.Sprintf(`{"d":{"results":[{"TechnicalServiceName":"S%d","ServiceUrl":"/a"}],`+
			`"__next":"ServiceCollection?$skiptoken=%d"}}`, n, n)
	})
	assert.True(t, err == nil && strings.Count(*reply.Document, `"name"`) == 5 &&
		strings.Contains(*reply.Document, "LAST"), "expected 5 services, found %+v, %v", reply, err)
}
