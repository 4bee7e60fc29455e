package console

import (
	"github.com/culvert-project/culvert/host/rest"
)

// letters are the dead letters of a connector, by cause.
type lettersPage struct {
	Name, Last, Error string
	rest.Letters
	// None says why there are none to show.
	None string
}

func (v *visit) letters() (any, error) {
	name := v.query.Get("name")
	v.title = "Dead letters of " + name
	l := lettersPage{Name: name, Last: v.query.Get("last"), Error: v.query.Get("error")}
	err := v.get("GET /culvert/connectors/{name}/deadletters?"+pairs("last", l.Last, "error", l.Error).Encode(),
		&l.Letters, name)
	if isRefused(err, 404) || isRefused(err, 500) {
		l.None, err = err.Error(), nil
	}
	return l, err
}

// Of are the letters of a cause.
func (l lettersPage) Of(c rest.LetterCause) (list []rest.Letter) {
	for _, one := range l.Letters.Letters {
		if of := one.Cause(); of.Class == c.Class && of.Stage == c.Stage && of.Message == c.Message {
			list = append(list, one)
		}
	}
	return list
}
