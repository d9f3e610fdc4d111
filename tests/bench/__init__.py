"""What probe costs, beside what others need for the same work in the same run.

Times of a machine say little; the ratio to a yardstick of the same minutes is what to compare.
One module for each benchmark. All traffic is loopback's, whose server side the kernel charges to
the dialer: ratios between dialers are on the safe side.
"""
