package rest

type ReplayAsked struct {
	Letters []string
	Error   string
	Again, Older, Dry bool
}
type Replayed struct {
	Replayed, Refused int
	Left              map[string]int
	Dry               bool
	Passes            int
	Refusals          []Refused
}
type Refused struct{ Letter, Why string }
type LetterCause struct {
	Class, Stage, Message string
	Count                 int
	First, Last           string
}

type causeKey struct{ a, b, c string }

func (c LetterCause) Cause() causeKey { return causeKey{c.Class, c.Stage, c.Message} }
func (l Letter) Cause() causeKey      { return causeKey{l.Class, l.Stage, l.Message} }
