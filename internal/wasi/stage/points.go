package stage

// Point is a moment of a commit that changes files. Tests strike there: with a
// clone or a device that is killed, a link that is cut, a disk that fails.
type Point string

// The points, in the order in which a commit passes them. What a device that
// is killed there finds at its next start is said of each.
const (
	// PointStaged: all that can fail is prepared, no record says that it will
	// be done. Files are as before.
	PointStaged Point = "staged"
	// PointRecorded: the commit record is on disk, nothing is done. Files are
	// as before.
	PointRecorded Point = "commit record written"
	// PointBegun: the first step is done, or the only one. Files are as before.
	PointBegun Point = "first file changed"
	// PointApplied: all steps are done, the journal does not say so. Files are
	// as before.
	PointApplied Point = "files changed"
	// PointDone: the journal says that the commit holds. Files are as after it.
	PointDone Point = "commit done"
)

// Points lists all of them.
var Points = []Point{PointStaged, PointRecorded, PointBegun, PointApplied, PointDone}

// reach tells a test that a commit has come to p.
func (s *Server) reach(p Point) {
	if s.cfg.Reached != nil {
		s.cfg.Reached(p)
	}
}
