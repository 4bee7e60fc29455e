package source_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

// news reads numbered pages, from /news?page=1 on.
type news struct{}

type item struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
}

func (news) Describe() wit.Description {
	return wit.Description{Name: "news", Version: "1.0.0", Components: []wit.Component{
		{Name: "example.News", Kind: wit.ComponentSource, Documentation: "Reads items page by page."}}}
}

func (news) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

func (news) Feeds(string, []wit.Setting) ([]source.Feed, error) {
	return []source.Feed{{Name: "items", Topic: "news", Identity: "/news", PollEvery: time.Minute, Request: request,
			Read: read}},
		nil
}

func pageOf(at source.Offset) int64 {
	page, _ := at["page"].(int64)
	return max(page, 1)
}

func request(at source.Offset) (wit.Request, error) {
	return wit.Request{Target: "/news?page=" + strconv.FormatInt(pageOf(at), 10)}, nil
}

// read continues with the next page if this one has items. An empty page is requested again at the next poll.
func read(at source.Offset, response wit.Response) (page source.Page, err error) {
	var items []item
	if err := json.Unmarshal(response.Body, &items); err != nil {
		return page, err
	}
	for _, i := range items {
		page.Records = append(page.Records, source.Record{Key: i.ID, Value: i})
	}
	if len(items) > 0 {
		page.Next = source.Offset{"page": pageOf(at) + 1}
		page.More = true
	}
	return page, nil
}

// A plugin registers itself in an init function. Importing the package adds the exports to the module.
func ExampleRegisterPages() {
	source.RegisterPages(news{})
}

// The functions of a feed can be called without a host. Each page returns the offset of the next one.
func ExampleFeed() {
	feeds, _ := news{}.Feeds("example.News", nil)
	at := source.Offset{}
	for _, body := range []string{`[{"id":1,"title":"rain"},{"id":2,"title":"sun"}]`, `[]`} {
		req, _ := feeds[0].Request(at)
		page, err := feeds[0].Read(at, wit.Response{Status: 200, Body: []byte(body)})
		fmt.Println(req.Target, len(page.Records), page.More, err)
		if page.Next != nil {
			at = page.Next
		}
	}
	// Output:
	// /news?page=1 2 true <nil>
	// /news?page=2 0 false <nil>
}
