package inspect

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxPages is how many pages of one list are read. The host's limit of rounds usually ends a list earlier.
	maxPages = 100
	// maxShownAddress is how many bytes of an address a message shows.
	maxShownAddress = 300
)

// pageTrail remembers the targets of the pages of one list. A page that was read before is answered from the state
// without another round, so the host's limit of rounds does not end a loop of links.
type pageTrail struct {
	list string // names the list in messages
	seen map[string]bool
}

// add records the target of the next page. It returns an error if that page was read already, or if the list has too
// many pages.
func (t *pageTrail) add(target string) error {
	const advice = "; correct the next links ($skiptoken or $skip) in the service, then run the command again"
	problem := ""
	switch {
	case t.seen[target]:
		problem = "expected a page that was not read yet, found a link back to " + printableAddress(target)
	case len(t.seen) == maxPages:
		problem = "expected at most " + strconv.Itoa(maxPages) + " pages, found a link to one more, " +
			printableAddress(target) + ", as from a service whose links never end"
	default:
		if t.seen == nil {
			t.seen = map[string]bool{}
		}
		t.seen[target] = true
		return nil
	}
	return &wit.Error{Kind: wit.ErrorData, Message: t.list + ": " + problem + advice}
}

// printableAddress returns a target for a message. It hides the values of query options that OData does not define,
// because they may be secrets.
func printableAddress(target string) string {
	path, query, hasQuery := strings.Cut(target, "?")
	if hasQuery {
		options := strings.Split(query, "&")
		for i, option := range options {
			name, value, _ := strings.Cut(option, "=")
			if value != "" && !strings.HasPrefix(name, "$") && !strings.HasPrefix(name, "%24") {
				options[i] = name + "=" + setting.Hidden
			}
		}
		path += "?" + strings.Join(options, "&")
	}
	if len(path) > maxShownAddress {
		path = strings.ToValidUTF8(path[:maxShownAddress], "") + "..."
	}
	return path
}
