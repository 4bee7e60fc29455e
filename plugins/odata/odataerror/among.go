package odataerror

import (
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// maxNames is how many names a message lists.
const maxNames = 40

// Suggest says which name may have been meant, and which there are.
func Suggest(wrong string, names []string, none string) string {
	if len(names) == 0 {
		return "; " + none
	}
	text, least := "", len(wrong)/3+2
	for _, name := range names {
		if d := setting.Distance(strings.ToLower(wrong), strings.ToLower(name)); d < least {
			least, text = d, "; the nearest name is "+name
		}
	}
	if len(names) > maxNames {
		return text + "; expected one of " + strings.Join(names[:maxNames], ", ") + ", ..."
	}
	return text + "; expected one of " + strings.Join(names, ", ")
}
