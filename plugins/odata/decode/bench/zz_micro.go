package bench

import (
	"fmt"
	"math/rand"

	"github.com/culvert-project/culvert/plugins/odata/decode"
)

func micro(rows int) []Shape {
	var all []Shape
	for name, t := range []decode.Edm{decode.EdmInt32, decode.EdmString, decode.EdmDecimal, decode.EdmDouble, decode.EdmDateTime, decode.EdmBoolean, decode.EdmGuid, decode.EdmInt64} {
		columns := []decode.Column{column("ID", decode.EdmInt32, false)}
		for i := range 20 {
			columns = append(columns, column(fmt.Sprintf("Field%02d", i), t, true))
		}
		s := Shape{Name: fmt.Sprint("M", name, t), Layout: finish("M", columns)}
		r := rand.New(rand.NewSource(1))
		for i := range rows {
			s.rows = append(s.rows, values(r, s.Layout, i, 0, 0))
		}
		all = append(all, s)
	}
	// nulls
	s := all[0]
	s.Name = "Mnulls"
	s.rows = nil
	for i := range rows {
		row := make([]*string, 21)
		x := fmt.Sprint(i)
		row[0] = &x
		s.rows = append(s.rows, row)
	}
	all = append(all, s)
	for _, n := range []int{1, 40} {
		columns := []decode.Column{column("ID", decode.EdmInt32, false)}
		for i := range n {
			columns = append(columns, column(fmt.Sprintf("Field%02d", i), decode.EdmInt32, true))
		}
		s := Shape{Name: fmt.Sprint("Nulls", n), Layout: finish("M", columns)}
		for i := range rows {
			row := make([]*string, n+1)
			x := fmt.Sprint(i)
			row[0] = &x
			s.rows = append(s.rows, row)
		}
		all = append(all, s)
	}
	return all
}
