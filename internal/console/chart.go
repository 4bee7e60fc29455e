package console

import (
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

type bar struct {
	Stage   string
	Share   float64
	Y, Wide int
}

const (
	barHeight = 28
	barWide   = 400
)

type chart struct {
	Bars   []bar
	Height int
}

func flowChart(f rest.Flow) chart {
	var c chart
	for i, s := range f.Stages {
		wide := int(barWide*min(max(s.Share, 0), 1) + 0.5)
		if s.Share > 0 {
			wide = max(wide, 2)
		}
		c.Bars = append(c.Bars, bar{shown.Line(s.Stage), s.Share, i * barHeight, wide})
	}
	c.Height = len(f.Stages) * barHeight
	return c
}
