# Plots a spike, the variable data, to the SVG named out under the title heading.
# Columns: seconds; refused, accepted and settled per second; backlog.
set terminal svg size 960,420 dynamic font 'sans-serif,13' background '#ffffff' name 'spike'
set output out
set title heading font ',15'
set grid ytics linetype 1 linecolor '#e8eaed'
set border 0
set tics nomirror scale 0 textcolor '#5f6368'
set format x '%g s'
set yrange [0:*]
set key below left horizontal textcolor variable
set style data lines
plot data using 1:2 title 'refused/s' linewidth 2 linecolor '#9aa0a6', \
     data using 1:3 title 'accepted/s' linewidth 2 linecolor '#1a73e8', \
     data using 1:4 title 'settled/s' linewidth 2 linecolor '#188038', \
     data using 1:5 title 'backlog' linewidth 2 linecolor '#d93025'
