package faces

import (
	"fmt"
	"math"
)

// Gallery remembers people by the descriptors of their faces.
type Gallery struct {
	// Threshold is the distance below which two faces are one person's.
	Threshold float64
	people    []person
	learned   int
}

type person struct {
	name  string
	faces [][]float32
}

// Match is what a Gallery made of a face.
type Match struct {
	Name     string
	Distance float64 // to the nearest person already there; 0 for the first
	New      bool    // the face resembled nobody, and Name is a new one
}

// Add remembers a face under a name that the caller knows.
func (g *Gallery) Add(name string, descriptor []float32) {
	for i := range g.people {
		if g.people[i].name == name {
			g.people[i].faces = append(g.people[i].faces, descriptor)
			return
		}
	}
	g.people = append(g.people, person{name: name, faces: [][]float32{descriptor}})
}

// Name finds whose face this is: the person whose faces are nearest on
// average. A face that is nobody's becomes a new person, "person 1" and so on.
// The face is remembered either way.
func (g *Gallery) Name(descriptor []float32) Match {
	best, nearest := -1, math.Inf(1)
	for i, p := range g.people {
		if d := p.distance(descriptor); d < nearest {
			best, nearest = i, d
		}
	}
	if best >= 0 && nearest < g.Threshold {
		p := &g.people[best]
		p.faces = append(p.faces, descriptor)
		return Match{Name: p.name, Distance: nearest}
	}
	g.learned++
	name := fmt.Sprintf("person %d", g.learned)
	g.people = append(g.people, person{name: name, faces: [][]float32{descriptor}})
	if best < 0 {
		nearest = 0
	}
	return Match{Name: name, Distance: nearest, New: true}
}

// People is how many people the gallery knows.
func (g *Gallery) People() int { return len(g.people) }

func (p person) distance(descriptor []float32) float64 {
	var sum float64
	for _, f := range p.faces {
		sum += Distance(f, descriptor)
	}
	return sum / float64(len(p.faces))
}

// Distance is the Euclidean distance of two descriptors.
func Distance(a, b []float32) float64 {
	b = b[:len(a)]
	var sum float64
	for i, v := range a {
		d := float64(v) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}
